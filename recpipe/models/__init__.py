"""How a support becomes a user vector, and how that is learned."""
