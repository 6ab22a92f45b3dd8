"""Tests that an agent keeps the contract of agents/api.py, for agents here and elsewhere."""
