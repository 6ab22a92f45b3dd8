"""What an agent faces: every task is a `gymnasium.Env`. Knows no agent and no protocol."""
