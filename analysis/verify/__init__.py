"""Does a reproduction hold? The verdict and its files."""
