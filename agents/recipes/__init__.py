"""One module per agent: its parts and its options."""
