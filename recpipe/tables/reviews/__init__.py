"""What reviews say, by aspect, and digests of them."""
