"""Whether a reproduction holds: the verdict and its files."""
