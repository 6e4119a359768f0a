"""One call: retries around admission around one HTTP exchange."""
