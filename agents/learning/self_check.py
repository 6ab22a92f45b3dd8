"""Checks on the device, before anything is recorded, that the fast ways of a program give the same results as its plain way.

    captured   the update and the decision as CUDA graphs, compared with direct calls of the same functions
    together   the update and the decision of S seeds, compared with those of each seed alone

The weights are the agent's own. The inputs are random and different for every seed, so that the check detects a graph that
reads old inputs, and a lift that reads those of another seed. Afterwards the learner is as before. Results may differ by
rounding: other kernels add in another order, and a GPU's convolutions may round to 10 bits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from agents.api import AgentContext, Carry, TimeStep
from agents.drawn import Drawn
from agents.learning.agreement import Named, agree, outcome, parts_of, recorded
from agents.learning.captured import Captured
from agents.learning.learner import Learner
from agents.learning.lifting import LoopOverSeeds
from agents.learning.trees import cloned, mapped


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
        update = recorded(lambda: Captured(learner._update, other, changes=learner.changing), "update")
        decision = recorded(lambda: Captured(lambda *seen: learner.apply(decide[0], *seen), unseen), "decision")
        largest["captured"] = {
            "update": agree(
                "captured", "update", eager["update"], outcome(learner, lambda: update(*inputs)), learner.precision
            ),
            "decision": agree(
                "captured", "decision", eager["decision"], parts_of(cloned(decision(*decide[1]))), learner.precision
            ),
        }
    if len(learner.seeds) > 1:
        alone = _alone(learner, inputs, decide)
        largest["together"] = {
            program: agree("together", program, alone[program], eager[program], learner.precision) for program in eager
        }
    return {"largest_difference": largest, "seconds": round(time.perf_counter() - begun, 3)}


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
    return {"update": update, "decision": parts_of(decision)}


def _decided(learner: Learner, decide: tuple[Callable, Sequence[Any]]) -> Named:
    return parts_of(cloned(learner.apply(decide[0], *decide[1])))


def _drawn(agent: Checked) -> tuple[dict[str, Tensor], tuple[Any, Any], tuple[Callable, Sequence[Any]]]:
    """A batch and noise for an update, and the inputs of a decision, drawn separately for every seed."""
    context, generator = agent.context, np.random.default_rng(0)
    rows = 2 * agent.schedule.batch_length
    drawing = Drawn(context, frames=rows, apart=True)
    drawing.feed(agent.observe, rows)
    agent.next_update_env_steps = context.budget_env_steps
    sampled, model_noise, behavior_noise = agent.update_inputs()
    batch = {name: value.clone() for name, value in sampled.items()}
    for name in ("reward", "is_first"):
        drawn = torch.from_numpy(generator.random(batch[name].shape, dtype=np.float32)).to(batch[name].device)
        batch[name] = drawn if name == "reward" else (drawn < 0.2).float()
    function, seen, noise = agent.decision(agent.initial(context.num_envs), drawing.step(), explore=True)
    return batch, (model_noise, behavior_noise), (function, (*seen, noise))
