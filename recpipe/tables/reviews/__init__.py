"""The insights of reviews, by aspect, and digests of them."""
