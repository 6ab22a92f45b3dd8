"""Arrays in, numbers out: bootstrap, aggregates, curves, equivalence."""
