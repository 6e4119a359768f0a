"""The Plugin API as documented: pure data and pure functions, without I/O and without a clock."""
