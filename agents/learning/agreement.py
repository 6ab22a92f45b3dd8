"""Whether a fast way of an update or a decision gives the results of the plain way, and what the user is told where not.

Used for the check before a run (self_check.py) and for the first update and the first decisions of a process (learner.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from agents.learning.optimiser import Group
from agents.learning.trees import cloned, leaves
from dreamer_bench_base import UserError

ROUNDING = {torch.float32: {"captured": 1e-3, "together": 2e-2}, torch.bfloat16: {"captured": 5e-2, "together": 2e-1}}
"""Largest difference that counts as rounding, relative to the tensor's Euclidean norm."""
STEP_ROUNDING = 0.5
"""The same for the step of the weights. Adam's first step is the gradient's sign, which rounding flips where it is almost 0."""
CURES = {"captured": "--set capture=false", "together": "--seeds-per-program 1"}
"""Fast way -> the option that avoids it."""

Named = dict[str, Tensor]
Recorded = TypeVar("Recorded")


class Changed(Protocol):
    """The part of a learner that an update changes."""

    groups: dict[str, Group]
    trained: dict[str, Any]

    @property
    def changing(self) -> list[Tensor]: ...


def outcome(learner: Changed, update: Callable[[], Any]) -> Named:
    """The results of an update: metrics of every round, gradients and steps of every group. Restores the learner."""
    before = [tensor.clone() for tensor in learner.changing]
    starts = {name: group.values.clone() for name, group in learner.groups.items()}
    found: Named = {}
    for number, metrics in enumerate(cloned(update())):
        found |= {f"{name} (round {number})": value.float() for name, value in metrics.items()}
    for name in learner.trained:
        group = learner.groups[name]
        found[f"gradient of {name}"] = group.gradient.clone()
        found[f"step of {name}"] = group.values - starts[name]
    for tensor, value in zip(learner.changing, before):
        tensor.copy_(value)
    return found


def agree(way: str, program: str, plain: Mapping[str, Tensor], fast: Mapping[str, Tensor], precision: torch.dtype) -> float:
    """The largest difference, relative to the tensor's norm. Raises UserError if it is more than rounding."""
    largest = 0.0
    for name, expected in plain.items():
        found = fast[name]
        if torch.equal(found.isfinite(), expected.isfinite()):  # a loss that is lost both ways is a result, not a difference
            found, expected = (value.nan_to_num(0.0, 0.0, 0.0) for value in (found, expected))
        difference = float((found.double() - expected.double()).norm() / expected.double().norm().clamp_min(1e-8))
        allowed = STEP_ROUNDING if name.startswith("step of ") else ROUNDING[precision][way]
        if not difference <= allowed:  # also true for NaN
            raise UserError(
                f"the {program} {_words(way)} differs from the plain one in {name} by {difference:.1e} of its size "
                f"(rounding stays below {allowed:g}); no result of it was recorded: run with {CURES[way]}, and report this"
            )
        if not name.startswith("step of "):
            largest = max(largest, difference)
    return largest


def _words(way: str) -> str:
    return "captured as a graph" if way == "captured" else "of all seeds together"


def recorded(make: Callable[[], Recorded], program: str) -> Recorded:
    try:
        return make()
    except RuntimeError as error:
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"the {program} cannot be captured as a graph ({line}); no result of it was recorded: run with "
            f"{CURES['captured']}, or free memory where it ran out"
        ) from error


def parts_of(result: Any) -> Named:
    """The tensors of a decision by name: an action with the state after it, or one of the two."""
    if isinstance(result, tuple):
        action, state = result
        return {"action": action.float(), **parts_of(state)}
    if isinstance(result, Mapping):
        return {f"state {name}": value.float() for name, value in result.items()}
    return {f"result {number}": value.float() for number, value in enumerate(leaves(result))}
