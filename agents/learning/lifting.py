"""Applies a function that is written for one seed to S seeds: in a loop over the seeds, or lifted over an axis with `vmap`.

Which one is faster depends on the device; docs/log.md has measurements. A lift gives the learner its passes: one for each seed,
or a single one for all seeds. The learner does the same in each pass.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from agents.api import UPDATE_BYTES_TOGETHER, AgentContext
from agents.behaviors.api import Parts
from agents.learning.optimiser import Group
from agents.learning.trees import mapped, row, stack
from agents.models.grouped import lift_over


class Pass(Protocol):
    """Some of the seeds, which are computed together."""

    def take(self, tree: Any) -> Any:
        """The part of tensors [S, ...] that belongs to this pass."""

    def call(self, function: Callable, *inputs: Any) -> Any:
        """function(parts, *inputs), for inputs from `take`. Pass the same function object at every call."""

    def leaves(self, group: str) -> list[Tensor]:
        """The parameters of a group, in the order of its layout."""


class Lift(Protocol):
    @property
    def passes(self) -> Sequence[Pass]: ...

    @property
    def plain(self) -> Lift:
        """The same lift without compilation, for decisions, which are many and small."""

    def join(self, results: Sequence[Any]) -> Any:
        """The results of all passes as tensors [S, ...]."""


MakeLift = Callable[[Parts, Mapping[str, Group]], Lift]
"""Makes a lift from the networks of one seed, whose values do not matter, and the groups with the values of all seeds."""


class LoopOverSeeds:
    """One pass per seed, each with its own modules."""

    def __init__(self, skeleton: Parts, groups: Mapping[str, Group]):
        self.modules = modules(skeleton, groups)
        self.passes = [_Single(module, s) for s, module in enumerate(self.modules)]

    @property
    def plain(self) -> Lift:
        return self

    def join(self, results: Sequence[Any]) -> Any:
        return stack(results)


class _Single:
    def __init__(self, module: Parts, s: int):
        self.module, self.s = module, s

    def take(self, tree: Any) -> Any:
        return row(tree, self.s)

    def call(self, function: Callable, *inputs: Any) -> Any:
        return function(self.module, *inputs)

    def leaves(self, group: str) -> list[Tensor]:
        return list(self.module.get_submodule(group).parameters())


class Vmap:
    """One pass for all seeds. compile: use torch.compile for the functions that it calls."""

    def __init__(self, skeleton: Parts, groups: Mapping[str, Group], *, compile: bool = False):
        self.skeleton, self.groups, self.compile = skeleton, groups, compile
        self.stacked = {
            f"{name}.{key}": view.detach().requires_grad_(group.trained)
            for name, group in groups.items()
            for key, view in group.views(group.values).items()
        }
        self.passes = [self]
        self._lifted: dict[Callable, Callable] = {}
        names = {name for name, _ in skeleton.named_parameters(remove_duplicate=False)}
        assert names == self.stacked.keys(), "every parameter of the skeleton is in one group"
        owners = [name.rpartition(".") for name in self.stacked]
        self._places: list[tuple[dict[str, Any], str]] = [
            (skeleton.get_submodule(owner)._parameters, attribute) for owner, _, attribute in owners
        ]
        vmap(torch.neg)(torch.zeros(1))  # its first call loads what lifting some operations needs

    @cached_property
    def plain(self) -> Lift:
        return Vmap(self.skeleton, self.groups) if self.compile else self

    def join(self, results: Sequence[Any]) -> Any:
        (result,) = results
        return result

    def take(self, tree: Any) -> Any:
        return tree

    def call(self, function: Callable, *inputs: Any) -> Any:
        if not self.compile:
            return self._directly(function, inputs)
        if function not in self._lifted:
            self._lifted[function] = torch.compile(self._lift(function), dynamic=False, fullgraph=True)
        return self._lifted[function](self.stacked, *inputs)

    def leaves(self, group: str) -> list[Tensor]:
        return [self.stacked[f"{group}.{key}"] for key in self.groups[group].layout]

    def _directly(self, function: Callable, inputs: Sequence[Any]) -> Any:
        """The same as `_lift(function)`, which walks all modules and arguments at every call.

        A decision of three seeds with the quick widths takes 0.9 ms this way and 1.5 ms the other. torch.compile can
        only trace the other.
        """
        own = [parameters[name] for parameters, name in self._places]
        try:
            with lift_over(len(next(iter(self.stacked.values())))) as (into, out_of):
                for (parameters, name), values in zip(self._places, self.stacked.values()):
                    parameters[name] = into(values)
                return mapped(out_of, self.skeleton(function, *mapped(into, inputs)))
        finally:
            for (parameters, name), values in zip(self._places, own):
                parameters[name] = values

    def _lift(self, function: Callable) -> Callable:
        return vmap(lambda values, *rows: functional_call(self.skeleton, values, (function, *rows)))


def modules(skeleton: Parts, groups: Mapping[str, Group]) -> list[Parts]:
    """The networks of every seed as modules, whose parameters are views of the groups' memory."""
    num_seeds = len(next(iter(groups.values())).values)
    found = [copy.deepcopy(skeleton).to("meta") for _ in range(num_seeds)]
    for s, module in enumerate(found):
        for name, group in groups.items():
            for key, view in group.views(group.values[s]).items():
                owner, _, attribute = f"{name}.{key}".rpartition(".")
                setattr(module.get_submodule(owner), attribute, nn.Parameter(view, requires_grad=group.trained))
    return found


def faster_lift(context: AgentContext, *, compile: bool, precision: str = "float32", update_bytes: int = 0) -> MakeLift:
    """A CPU computes small networks of several seeds together from three seeds on, and larger ones in a loop over the seeds.

    One core, Dreamer's update. Pendulum from its vector, quick widths, 16x16 rows: 306 ms in a loop and 168 ms lifted for
    five seeds, 162 and 134 ms for three, 56 and 63 ms for one. SAC with five: 72 and 41 ms, PlaNet 67 and 26 ms. From images,
    three seeds with the profile `quick`: 188 and 160 ms; five with `small`: 899 and 851 ms, but 484 and 932 MB (docs/log.md).

    precision     in bfloat16, convolutions of several seeds are grouped ones, which are slower than a loop
    update_bytes  memory of an update of all seeds; 0 if it is not known
    """
    if compile:
        return partial(Vmap, compile=True)
    images = "image" in context.observation_space.spaces
    small = not images or (precision == "float32" and 0 < update_bytes <= UPDATE_BYTES_TOGETHER)
    together = small and len(context.seeds) >= 3
    return Vmap if together or torch.device(context.device).type != "cpu" else LoopOverSeeds
