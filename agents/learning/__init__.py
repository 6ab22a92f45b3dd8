"""The engine of a model-based agent: replay, batches, noise, optimisation, the seed axis, devices."""
