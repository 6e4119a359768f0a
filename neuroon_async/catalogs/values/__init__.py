"""Text of a catalog file to values: numbers, prices, currencies, plain text."""
