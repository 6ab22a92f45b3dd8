"""Sealed submissions, and the site that ranks them."""
