"""Closed forms beside what is taught: the weights of their blend, and who serves which size of the support."""
