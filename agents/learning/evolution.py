"""Search without gradients: CMA-ES over the weights of one group, for S seeds, in the imagination of their world models.

The `cma` package has the strategy. Its random numbers come from the project's streams: the draws of a generation are a function
of (seed, purpose, number of the generation). Options keep the package from seeding the global generator, writing files and
printing. Checkpoints have its state as plain numbers, never as a pickle, because a checkpoint is data.

Source: Ha & Schmidhuber 2018; Hansen, cma 4.5.0; docs/algorithms/world_models.md.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.behaviors.api import Searched
from agents.learning.learner import Learner
from agents.learning.noise import SEARCH, Noise, entropy
from agents.models.latents import NoiseSpec
from dreamer_bench_base import UserError

CANDIDATES, DREAMS = range(2)
"""Purposes of the draws of a generation."""

MIRRORED_BELOW = 6
"""Fewest candidates. With fewer, the package mirrors the worst ones of the last generation into the next, and they are not in a
checkpoint."""

STATE = (
    "sigma", "mean", "mean_old", "pc", "pc2", "countiter", "countevals",
    "adapt_sigma.ps", "adapt_sigma.delta", "sm.C", "sm.B", "sm.D", "sm.last_update", "sm.count_tell", "sm.count_eigen",
    "sigma_vec.scaling", "sigma_vec.is_identity", "fit.median_previous", "fit.median_got_worse",
)  # fmt: skip
"""Attributes of `cma.CMAEvolutionStrategy` on which the next generation depends. A diagonal search has its variances in
`sigma_vec` and does not have `sm.C` and its axes `sm.B`, `sm.D`."""


@dataclass(frozen=True, kw_only=True)
class EvolutionSettings:
    """CMA-ES as in World Models; everything else is the package's default.

    population   candidates per generation
    sigma        initial step size; the initial mean is 0
    generations  generations per training call, spread evenly over its `updates` model updates
    diagonal     adapt one variance per weight instead of a covariance, for thousands of weights (not in the original)
    """

    population: int = 64
    sigma: float = 0.1
    generations: int = 10
    diagonal: bool = False


class Strategy:
    """CMA-ES of one seed."""

    def __init__(self, seed: int, size: int, settings: EvolutionSettings):
        import cma  # not at the top, because no other arm needs it

        assert settings.population >= MIRRORED_BELOW, settings
        self.seed, self.size = seed, size
        self.generation = 0
        self._generator: np.random.Generator | None = None
        options = {
            "popsize": settings.population,
            "CMA_diagonal": settings.diagonal,
            "randn": self._normal,
            "seed": np.nan,  # "do nothing": any number would seed NumPy's global generator
            "verbose": -9,
            "verb_log": 0,
            "verb_disp": 0,
            "conditioncov_alleviate": False,  # would replace the covariance by a change of coordinates
        }
        self.search = cma.CMAEvolutionStrategy(np.zeros(size), settings.sigma, options)

    def _normal(self, *shape: int) -> np.ndarray:
        assert self._generator is not None, "drawn outside a generation"
        return self._generator.standard_normal(shape)

    def ask(self) -> np.ndarray:
        """The candidates of the next generation, [K, P] float64."""
        self._generator = np.random.default_rng(entropy(self.seed, SEARCH, self.generation, CANDIDATES))
        return np.stack(self.search.ask())

    def tell(self, candidates: np.ndarray, returns: np.ndarray) -> None:
        """Ends the generation with its returns [K], which the search maximises (the package minimises costs)."""
        self.search.tell(list(candidates), (-returns).tolist())
        self.skip()

    def skip(self) -> None:
        """Ends the generation of a diverged seed without learning from it."""
        self._generator = None
        self.generation += 1

    @property
    def mean(self) -> np.ndarray:
        return self.search.mean

    @property
    def sigma(self) -> float:
        return float(self.search.sigma)

    def state(self) -> dict[str, Any]:
        """The state between two generations, as numbers and tensors."""
        kept: dict[str, Any] = {"generation": self.generation}
        for path in STATE:
            try:
                value = functools.reduce(getattr, path.split("."), self.search)
            except AttributeError:
                continue
            kept[path] = torch.from_numpy(np.array(value)) if isinstance(value, np.ndarray) else _number(value)
        return kept

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Restores `state`. Raises UserError for the state of another kind of search."""
        own = self.state()
        if own["mean"].shape != kept["mean"].shape or ("sm.C" in own) != ("sm.C" in kept):
            raise UserError(
                f"the checkpoint holds a search over {_words(kept)}, this agent searches over {_words(own)}; "
                "use the options and the task it was saved with"
            )
        if kept["countiter"]:  # a first generation, of any kind, creates the attributes that the package creates late
            self.tell(self.ask(), np.arange(float(self.search.popsize)))
        self.generation = int(kept["generation"])
        for path in STATE:
            if path not in kept:
                continue
            owner, _, name = path.rpartition(".")
            value = kept[path]
            target = functools.reduce(getattr, owner.split("."), self.search) if owner else self.search
            # Copied with its memory layout, because the order of rows and columns decides how products are rounded.
            setattr(target, name, np.array(value.numpy(), order="K") if isinstance(value, Tensor) else value)
        self.search._updateBDfromSM(self.search.sm)  # the package keeps copies of these


def _words(kept: Mapping[str, Any]) -> str:
    return f"{len(kept['mean'])} weights with {'covariances' if 'sm.C' in kept else 'variances alone'}"


def _number(value: Any) -> bool | int | float | None:
    return value.item() if isinstance(value, np.generic) else value


class Evolution:
    """The searches of S seeds. Their means become the weights of the learner's group `behavior.searched`."""

    def __init__(
        self,
        settings: EvolutionSettings,
        behavior: Searched,
        learner: Learner,
        noise: Noise,
        specs: Mapping[str, NoiseSpec],
    ):
        self.settings, self.behavior, self.learner, self.noise, self.specs = settings, behavior, learner, noise, specs
        self.layout = {name: shape for name, (_, shape) in learner.groups[behavior.searched].layout.items()}
        size = sum(shape.numel() for shape in self.layout.values())
        self.strategies = [Strategy(seed, size, settings) for seed in noise.seeds]
        self._write_means()

    def due(self, gradient_steps: int, updates: int) -> int:
        """Generations that are due after update number `gradient_steps`, with `updates` per training call."""
        generations = self.settings.generations
        return gradient_steps * generations // updates - (gradient_steps - 1) * generations // updates

    def generation(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One generation for every seed that has not diverged, on a batch [S, T, B, ...]; metrics [S].

        A seed with a return that is not finite has diverged, as with a loss.
        """
        alive = self.learner.alive.cpu().numpy()
        number = self.strategies[0].generation
        asked = np.stack([strategy.ask() for strategy in self.strategies])
        noise = self.noise.draw(self.specs, SEARCH, number, DREAMS)
        returns = self.learner.apply(self.behavior.fitness, batch, self._candidates(asked), noise).double().cpu().numpy()
        alive = alive & np.isfinite(returns).all(1)
        for strategy, candidates, found, lives in zip(self.strategies, asked, returns, alive):
            if lives:
                strategy.tell(candidates, found)
            else:
                strategy.skip()
        self.learner.alive.copy_(torch.from_numpy(alive))
        self._write_means()
        sigma = np.array([strategy.sigma for strategy in self.strategies])
        metrics = {"imagined_return": returns.mean(1), "best_imagined_return": returns.max(1), "search_sigma": sigma}
        return {name: torch.from_numpy(value).float().to(self.learner.device) for name, value in metrics.items()}

    def _candidates(self, asked: np.ndarray) -> dict[str, Tensor]:
        """[S, K, P] -> the group's parameters, each [S, K, ...]."""
        flat = torch.from_numpy(asked).float().to(self.learner.device)
        parts = flat.split([shape.numel() for shape in self.layout.values()], -1)
        return {name: part.unflatten(-1, shape) if shape else part for (name, shape), part in zip(self.layout.items(), parts)}

    def _write_means(self) -> None:
        means = self._candidates(np.stack([strategy.mean for strategy in self.strategies]))
        group = self.learner.groups[self.behavior.searched]
        for name, view in group.views(group.values).items():
            view.copy_(means[name])

    def state(self, s: int) -> dict[str, Any]:
        return self.strategies[s].state()

    def restore(self, s: int, kept: Mapping[str, Any]) -> None:
        self.strategies[s].restore(kept)
        self._write_means()
