"""Checks on the device, before anything is recorded, that the fast ways of a program give the same results as its plain way.

    captured   the update and the decision as CUDA graphs, compared with direct calls of the same functions
    together   the update and the decision of S seeds, compared with those of each seed alone

The weights are the agent's own. The inputs are random and different for every seed, so that the check detects a graph that
reads old inputs, and a lift that reads those of another seed. Afterwards the learner is as before. Results may differ by
rounding: other kernels add in another order, and a GPU's convolutions may round to 10 bits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from agents.api import AgentContext, Carry, TimeStep
from agents.learning.captured import Captured
from agents.learning.learner import Learner
from agents.learning.lifting import LoopOverSeeds
from agents.learning.trees import cloned, mapped
from dreamer_bench_base import UserError

ROUNDING = {torch.float32: {"captured": 1e-3, "together": 2e-2}, torch.bfloat16: {"captured": 5e-2, "together": 2e-1}}
"""Largest difference that counts as rounding, relative to the tensor's Euclidean norm."""
STEP_ROUNDING = 0.5
"""The same for the step of the weights. Adam's first step is the gradient's sign, which rounding flips where it is almost 0."""
CURES = {"captured": "--set capture=false", "together": "--seeds-per-program 1"}
"""Fast way -> the option that avoids it."""

Named = dict[str, Tensor]


class Checked(Protocol):
    """The part of `ModelBasedAgent` that this check needs."""

    context: AgentContext
    learner: Learner
    schedule: Any
    next_update_env_steps: int | None

    def initial(self, num_envs: int) -> Carry: ...

    def observe(self, action: np.ndarray, step: TimeStep, lanes: np.ndarray) -> None: ...

    def update_inputs(self) -> tuple[dict[str, Tensor], dict[str, Tensor], list[dict[str, Tensor]]]: ...

    def decision(
        self, carry: Carry, step: TimeStep, *, explore: bool
    ) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Tensor]]: ...


def self_check(agent: Checked) -> dict[str, Any]:
    """Compares every fast way that the agent uses with the plain one. Returns the report for the record.

    Raises UserError, in one line, for a difference beyond rounding or an error of capture. The agent's replay must be empty; it
    is filled with random rows, so the agent must not be used afterwards.
    """
    begun = time.perf_counter()
    learner = agent.learner
    batch, update_noise, decide = _drawn(agent)
    inputs = (batch, *update_noise)
    largest: dict[str, dict[str, float]] = {}
    eager = {"update": outcome(learner, lambda: learner._update(*inputs)), "decision": _decided(learner, decide)}
    if learner.capture:  # captured with other inputs than those of the call
        other, unseen = mapped(torch.zeros_like, inputs), mapped(torch.zeros_like, decide[1])
        update = _recorded(lambda: Captured(learner._update, other, changes=learner.changing), "update")
        decision = _recorded(lambda: Captured(lambda *seen: learner.apply(decide[0], *seen), unseen), "decision")
        largest["captured"] = {
            "update": agree(
                "captured", "update", eager["update"], outcome(learner, lambda: update(*inputs)), learner.precision
            ),
            "decision": agree(
                "captured", "decision", eager["decision"], _flat(cloned(decision(*decide[1]))), learner.precision
            ),
        }
    if len(learner.seeds) > 1:
        alone = _alone(learner, inputs, decide)
        largest["together"] = {
            program: agree("together", program, alone[program], eager[program], learner.precision) for program in eager
        }
    return {"largest_difference": largest, "seconds": round(time.perf_counter() - begun, 3)}


def outcome(learner: Learner, update: Callable[[], Any]) -> Named:
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
        difference = float((found.double() - expected.double()).norm() / expected.double().norm().clamp_min(1e-8))
        allowed = STEP_ROUNDING if name.startswith("step of ") else ROUNDING[precision][way]
        if not difference <= allowed:  # also true for NaN
            raise UserError(
                f"the {program} {_words(way)} differs from the plain one in {name} by {difference:.1e} of its size "
                f"(rounding stays below {allowed:g}); nothing was recorded: run with {CURES[way]}, and report this"
            )
        if not name.startswith("step of "):
            largest = max(largest, difference)
    return largest


def _words(way: str) -> str:
    return "captured as a graph" if way == "captured" else "of all seeds together"


def _recorded(make: Callable[[], Captured], program: str) -> Captured:
    try:
        return make()
    except RuntimeError as error:
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"the {program} cannot be captured as a graph ({line}); nothing was recorded: run with {CURES['captured']}, or "
            "free memory where it ran out"
        ) from error


def _alone(learner: Learner, inputs: Sequence[Any], decide: tuple[Callable, Sequence[Any]]) -> dict[str, Named]:
    """The update and the decision as a loop over the seeds."""
    loop, lift = LoopOverSeeds(learner.skeleton, learner.groups), learner.lift
    learner.lift = loop
    try:
        update = outcome(learner, lambda: learner._update(*inputs))
    finally:
        learner.lift = lift
    function, seen = decide
    with torch.no_grad(), learner._compute():
        decision = loop.join([each.call(function, *map(each.take, seen)) for each in loop.passes])
    return {"update": update, "decision": _flat(decision)}


def _decided(learner: Learner, decide: tuple[Callable, Sequence[Any]]) -> Named:
    return _flat(cloned(learner.apply(decide[0], *decide[1])))


def _flat(result: tuple[Tensor, Mapping[str, Tensor]]) -> Named:
    action, state = result
    return {"action": action.float(), **{f"state {name}": value.float() for name, value in state.items()}}


def _drawn(agent: Checked) -> tuple[dict[str, Tensor], tuple[Any, Any], tuple[Callable, Sequence[Any]]]:
    """A batch and noise for an update, and the inputs of a decision, drawn separately for every seed."""
    context, generator = agent.context, np.random.default_rng(0)
    context.observation_space.seed(0)
    context.action_space.seed(0)
    shape = (len(context.seeds), context.num_envs)

    def step(is_first: bool, is_last: bool) -> TimeStep:
        shown = {
            key: np.stack([np.stack([space.sample() for _ in range(shape[1])]) for _ in range(shape[0])])
            for key, space in context.observation_space.spaces.items()
        }
        return TimeStep(
            shown, np.zeros(shape, np.float32), np.full(shape, is_first), np.full(shape, is_last), np.zeros(shape, bool)
        )

    rows = 2 * agent.schedule.batch_length
    for row in range(rows):
        action = np.array([[context.action_space.sample() for _ in range(shape[1])] for _ in range(shape[0])])
        agent.observe(action, step(row == 0, row == rows - 1), np.ones(shape, bool))
    agent.next_update_env_steps = context.budget_env_steps
    sampled, model_noise, behavior_noise = agent.update_inputs()
    batch = {name: value.clone() for name, value in sampled.items()}
    for name in ("reward", "is_first"):
        drawn = torch.from_numpy(generator.random(batch[name].shape, dtype=np.float32)).to(batch[name].device)
        batch[name] = drawn if name == "reward" else (drawn < 0.2).float()
    function, seen, noise = agent.decision(agent.initial(context.num_envs), step(False, False), explore=True)
    return batch, (model_noise, behavior_noise), (function, (*seen, noise))
