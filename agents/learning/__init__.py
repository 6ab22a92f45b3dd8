"""How a model-based agent learns: replay, batches, noise, optimisation, the seed axis, devices."""
