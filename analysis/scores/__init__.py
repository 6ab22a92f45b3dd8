"""Scores as one long table, from runs and from files."""
