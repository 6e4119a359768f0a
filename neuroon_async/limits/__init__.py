"""How many requests may leave, and when."""
