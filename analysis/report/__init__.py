"""One HTML page about a folder of records."""
