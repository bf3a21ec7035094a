"""The ids of users: one spelling, keys in their place, and texts without them."""
