"""The only source of randomness of an agent: every draw is a function of (seed, purpose, counters) alone.

So no random state has to be saved, several seeds together draw the same numbers as each alone, and a resumed run draws the same
numbers as an uninterrupted one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from agents.models.latents import NoiseSpec

INITIAL, ACT, LEARN, REPLAY, SEARCH = range(5)
"""Purposes: initial values, acting, learning, choosing sequences, searching without gradients."""


def entropy(seed: int, purpose: int, *counters: int) -> np.random.SeedSequence:
    return np.random.SeedSequence([seed, purpose, *counters])


class Noise:
    """Random numbers for S seeds on one device."""

    def __init__(self, seeds: Sequence[int], device: torch.device):
        self.seeds, self.device = tuple(seeds), device
        self._generator: torch.Generator | None = None

    def generator(self, seed: int, purpose: int, *counters: int) -> torch.Generator:
        """The generator of one (seed, purpose, counters), at its start; valid until the next call."""
        if self._generator is None:
            self._generator = torch.Generator(self.device)
        return _begin(self._generator, entropy(seed, purpose, *counters))

    def host_generator(self, seed: int, purpose: int, *counters: int) -> torch.Generator:
        """The same on the CPU, so that initial values are equal on all devices."""
        return _begin(torch.Generator(), entropy(seed, purpose, *counters))

    def draw(self, specs: Mapping[str, NoiseSpec], purpose: int, *counters: int) -> dict[str, Tensor]:
        """Every tensor of `specs` as [S, *shape], float32. One draw per kind and seed is split in the given order."""
        drawn: dict[str, Tensor] = {}
        for kind in ("normal", "uniform"):
            chosen = {name: spec.shape for name, spec in specs.items() if spec.kind == kind}
            widths = [math.prod(shape) for shape in chosen.values()]
            if not chosen:
                continue
            flat = torch.empty(len(self.seeds), sum(widths), device=self.device)
            for row, seed in zip(flat, self.seeds):
                generator = self.generator(seed, purpose, *counters)
                if kind == "normal":
                    row.normal_(generator=generator)
                else:
                    row.uniform_(generator=generator)
            for (name, shape), part in zip(chosen.items(), flat.split(widths, 1)):
                drawn[name] = part.reshape(len(self.seeds), *shape)
        return drawn


def _begin(generator: torch.Generator, source: np.random.SeedSequence) -> torch.Generator:
    return generator.manual_seed(int(source.generate_state(1, np.uint64)[0]))
