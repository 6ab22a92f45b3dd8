"""The shared backbone: the RSSM world model and its parts. Knows no behaviour."""
