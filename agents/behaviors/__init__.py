"""Ways to choose actions with a world model. Each sees the model's verbs and nothing inside."""
