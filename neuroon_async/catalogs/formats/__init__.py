"""One file for each catalog format."""
