"""One function per figure, from a comparison to a `Drawing`. `analysis.figures.catalog` finds them by name."""
