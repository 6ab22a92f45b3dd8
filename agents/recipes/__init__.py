"""A row of the results table each: which parts make the agent, and its options."""
