"""The items that complete an item or a cart."""
