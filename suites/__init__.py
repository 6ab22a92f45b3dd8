"""The tasks that agents solve: every task is a `gymnasium.Env`. Knows no agent and no protocol."""
