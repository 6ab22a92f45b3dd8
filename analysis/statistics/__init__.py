"""Statistics from arrays to numbers: bootstrap, aggregates, curves, equivalence."""
