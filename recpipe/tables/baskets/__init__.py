"""What completes an item or a cart."""
