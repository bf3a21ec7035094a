"""One folder a family of tables; each says how one day of its tables is made."""
