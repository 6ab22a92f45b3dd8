"""Ways to choose actions with a world model. Each uses the methods of the model and nothing inside it."""
