"""Evidence of items for items: sold together, alike in words, and the trend of their sales."""
