"""The agents: one world model, and the behaviours that choose actions with it."""
