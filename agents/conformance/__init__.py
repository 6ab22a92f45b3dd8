"""Checks that an agent follows the contract of agents/api.py, for our agents and those of other packages."""
