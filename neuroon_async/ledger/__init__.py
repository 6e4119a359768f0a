"""What the server already has, remembered between runs."""
