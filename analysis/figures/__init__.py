"""One figure, one function: a table in, a `Drawing` out. `analysis.figures.catalog` finds them by name."""
