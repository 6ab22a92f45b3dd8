"""The seed axis: S learners in one program. Only this file, lifting.py and optimiser.py know it.

The parameters of a group are one buffer [S, P], and the parameters of each seed's modules are views of its row. A lift applies
a function that is written for one seed to all seeds.

An update must be capturable as a CUDA graph: static shapes, no `.item()`, no branch on a tensor. Batches and noise are inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from agents.behaviors.api import Behavior, Losses, Metrics, OptimizerSettings, Parts
from agents.learning.agreement import agree, outcome, parts_of, recorded
from agents.learning.captured import Captured
from agents.learning.lifting import LoopOverSeeds, MakeLift, Pass, Vmap
from agents.learning.noise import INITIAL, Noise
from agents.learning.optimiser import Group
from agents.learning.trees import cloned, detached, signature
from agents.models.networks import initialize
from agents.models.world_model import Observed
from dreamer_bench_base import UserError

MODEL = "world_model"


class Learner:
    """Networks, optimisers and the update of S seeds.

    build     makes the parts of one seed; called once, and its parameter values are replaced
    lift      applies losses and decisions to all seeds; a behaviour that `decides_together` always decides with Vmap
    clock     gives a context around each named part of an update, for measurements
    capture   on a GPU, replay every update and every decision as one CUDA graph
    model_first  update the model before the behaviour learns from it (DreamerV2); otherwise both use the weights from before
    searched  groups of the behaviour whose weights a search changes, not a gradient (agents/learning/evolution.py)
    """

    def __init__(
        self,
        build: Callable[[], Parts],
        *,
        model_optimizer: OptimizerSettings,
        behavior: Behavior,
        noise: Noise,
        precision: torch.dtype = torch.float32,
        lift: MakeLift = LoopOverSeeds,
        capture: bool = False,
        model_first: bool = False,
        searched: Collection[str] = (),
    ):
        self.behavior, self.seeds, self.device = behavior, noise.seeds, noise.device
        self.model_first, self.precision, self.capture = model_first, precision, capture and self.device.type == "cuda"
        with torch.device("meta"):
            parts = build()
        parts.to_empty(device="cpu")
        self.trained = {MODEL: model_optimizer, **behavior.optimizers}
        copies = {name: target.source for name, target in behavior.targets.items()}
        self.groups = {
            name: Group(module, len(self.seeds), self.device, self.trained.get(name)) for name, module in parts.named_children()
        }
        if self.groups.keys() != self.trained.keys() | copies.keys() | set(searched):
            raise UserError(
                f"the behaviour trains {sorted(self.trained.keys() | set(searched))} and copies to {sorted(copies)}, "
                f"but its networks are {sorted(self.groups)}"
            )
        for number, seed in enumerate(self.seeds):
            for name, group in self.groups.items():
                module = parts.get_submodule(copies.get(name, name))
                # Every group has its own generator, so a world model starts with the same weights under every behaviour.
                initialize(module, noise.host_generator(seed, INITIAL, *copies.get(name, name).encode()))
                for key, view in group.views(group.values[number]).items():
                    view.copy_(module.get_parameter(key).detach())
        self.skeleton = parts.to(self.device)
        self.lift = lift(self.skeleton, self.groups)
        self.alive = torch.ones(len(self.seeds), dtype=torch.bool, device=self.device)
        self.gradient_steps = torch.zeros((), device=self.device)  # model updates
        self.descents = torch.zeros((), device=self.device)  # behaviour updates
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._captured: dict[Any, Captured] = {}
        self.clock: Callable[[str], AbstractContextManager] = lambda part: nullcontext()

    @cached_property
    def _together(self) -> Vmap:
        return Vmap(self.skeleton, self.groups)

    # -- lifting ---------------------------------------------------------------------------------------------------------------

    def apply(self, function: Callable, *inputs: Any) -> Any:
        """function(parts, *inputs of one seed) for every seed, without gradient; inputs and results are [S, ...]."""
        lift = self._together if self.behavior.decides_together and len(self.seeds) > 1 else self.lift.plain
        with torch.no_grad(), self._compute():
            return lift.join([each.call(function, *map(each.take, inputs)) for each in lift.passes])

    def apply_captured(self, function: Callable, *inputs: Any) -> Any:
        """`apply`, on a GPU as a captured graph. Pass the same function object at every call; it identifies the graph.

        The first result of each graph is compared with that of a direct call; UserError where they differ beyond rounding.
        """
        if not self.capture:
            return self.apply(function, *inputs)
        key = (function, signature(inputs))
        if key not in self._captured:
            captured = recorded(lambda: Captured(lambda *inputs: self.apply(function, *inputs), inputs), "decision")
            plain, fast = parts_of(self.apply(function, *inputs)), parts_of(cloned(captured(*inputs)))
            agree("captured", "decision", plain, fast, self.precision)
            self._captured[key] = captured
        return cloned(self._captured[key](*inputs))  # the next call of the graph overwrites its results

    def _compute(self) -> AbstractContextManager:
        if self.precision == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.precision)

    # -- learning --------------------------------------------------------------------------------------------------------------

    def update(
        self, batch: Mapping[str, Tensor], model_noise: Mapping[str, Tensor], behavior_noise: Sequence[Mapping[str, Tensor]]
    ) -> None:
        """One model update and `behavior.repeats` behaviour updates on a batch [S, T, B, ...].

        All losses of the first repeat use the weights from before the update, unless `model_first`
        (docs/algorithms/dreamer.md §8). As a captured graph, the first one of a process is compared with a direct call, too.
        """
        inputs = (dict(batch), dict(model_noise), [dict(noise) for noise in behavior_noise])
        if self.capture:
            if "update" not in self._captured:
                captured = recorded(lambda: Captured(self._update, inputs, changes=self.changing), "update")
                plain, fast = (outcome(self, partial(way, *inputs)) for way in (self._update, captured))
                agree("captured", "update", plain, fast, self.precision)
                self._captured["update"] = captured
            rounds = self._captured["update"](*inputs)
        else:
            rounds = self._update(*inputs)
        for metrics in rounds:
            self.note(metrics)

    @property
    def changing(self) -> list[Tensor]:
        """Every tensor that an update changes and a later one reads."""
        kept = [buffer for group in self.groups.values() for buffer in group.kept.values()]
        return [self.alive, self.gradient_steps, self.descents, *kept]

    def _update(
        self, batch: Mapping[str, Tensor], model_noise: Mapping[str, Tensor], behavior_noise: Sequence[Mapping[str, Tensor]]
    ) -> list[dict[str, Tensor]]:
        """The update itself, with tensors as only inputs and outputs; metrics [S] of every round."""
        together, later = ([], behavior_noise) if self.model_first else (behavior_noise[:1], behavior_noise[1:])
        passes, observed, found = self.lift.passes, [], []
        for each in passes:
            seen, losses, metrics = self._model_gradients(each, each.take(batch), each.take(model_noise))
            for noise in together:
                more, others = self._behavior_gradients(each, seen, each.take(batch), each.take(noise))
                losses, metrics = {**losses, **more}, {**metrics, **others}
            observed.append(seen)
            found.append((losses, metrics))
        self.gradient_steps += 1.0
        rounds = [self.descend(*self.lift.join(found))]
        for noise in later:
            found = [
                self._behavior_gradients(each, seen, each.take(batch), each.take(noise)) for each, seen in zip(passes, observed)
            ]
            rounds.append(self.descend(*self.lift.join(found)))
        return rounds

    def _model_gradients(self, each: Pass, batch: Any, noise: Any) -> tuple[Observed, Losses, Metrics]:
        with self._compute():
            loss, observed, metrics = each.call(model_loss, batch, noise)
        self._differentiate(MODEL, each, loss)
        return detached(observed), {MODEL: loss.detach()}, metrics

    def _behavior_losses(self, parts: Parts, observed: Any, batch: Mapping[str, Tensor], noise: Mapping[str, Tensor]) -> Any:
        return self.behavior.losses(parts, observed, batch, noise, self.gradient_steps)

    def _behavior_gradients(self, each: Pass, observed: Observed, batch: Any, noise: Any) -> tuple[Losses, Metrics]:
        frozen = each.leaves(MODEL)
        for leaf in frozen:  # nothing here trains the model, so its activations need not be kept
            leaf.requires_grad_(False)
        with self.clock("behaviour"):
            with self._compute():
                losses, metrics = each.call(self._behavior_losses, observed, batch, noise)
            assert losses.keys() == self.behavior.optimizers.keys(), f"a loss for each group, not for {sorted(losses)}"
            for i, (name, loss) in enumerate(losses.items()):
                self._differentiate(name, each, loss, retain=i + 1 < len(losses))
        for leaf in frozen:
            leaf.requires_grad_(True)
        return {name: loss.detach() for name, loss in losses.items()}, metrics

    def _differentiate(self, name: str, each: Pass, loss: Tensor, *, retain: bool = False) -> None:
        """Computes the gradients of a loss for one group. The loss is summed over seeds; each seed's gradient is in its row."""
        found = torch.autograd.grad(loss.sum(), each.leaves(name), retain_graph=retain, materialize_grads=True)
        group = self.groups[name]
        for view, value in zip(group.views(each.take(group.gradient)).values(), found):
            view.copy_(value)

    def descend(self, losses: Losses, metrics: Metrics) -> dict[str, Tensor]:
        """One optimiser step for every group with a loss. Returns the metrics, including gradient norms.

        A seed whose loss or gradient is not finite in any group has diverged and stops learning.
        """
        learns = any(name != MODEL for name in losses)  # the behaviour, whose steps are counted separately
        with self.clock("optimisers"):
            if learns:
                self.descents += 1.0
            norms = {name: self.groups[name].gradient_norm() for name in self.trained if name in losses}
            finite = self.alive
            for name, norm in norms.items():
                finite = finite & torch.isfinite(norm) & torch.isfinite(losses[name])
            self.alive.copy_(finite)
            for name, norm in norms.items():
                self.groups[name].descend(self.alive, norm, self.gradient_steps if name == MODEL else self.descents)
                metrics[f"{name}_gradient_norm"] = norm
            for name, target in self.behavior.targets.items() if learns else ():
                self.groups[name].values.lerp_(self.groups[target.source].values, target.step(self.descents))
        return metrics

    def note(self, metrics: Mapping[str, Tensor]) -> None:
        for name, value in metrics.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value.clone()
            self._counts[name] = self._counts.get(name, 0) + 1

    def drain(self) -> dict[str, Tensor]:
        """Mean of every metric since the last call, each [S]."""
        means = {name: total / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        return means

    # -- one seed's state ------------------------------------------------------------------------------------------------------

    def state(self, s: int) -> dict[str, Any]:
        """All that an update of seed `s` reads or changes, as plain tensors on the CPU."""
        groups = {}
        for name, group in self.groups.items():
            groups[name] = {
                part: {key: view.detach().cpu().clone() for key, view in group.views(buffer[s]).items()}
                for part, buffer in group.kept.items()
            }
        return {
            "groups": groups,
            "alive": bool(self.alive[s]),
            "gradient_steps": float(self.gradient_steps),
            "descents": float(self.descents),
        }

    def restore(self, s: int, state: Mapping[str, Any]) -> None:
        """Restores `state`. Raises ValueError if it belongs to other networks."""
        for name, group in self.groups.items():
            kept = state["groups"].get(name, {"values": {}})
            shapes = {key: shape for key, (_, shape) in group.layout.items()}
            if {key: value.shape for key, value in kept["values"].items()} != shapes:
                raise UserError(
                    f"the checkpoint's {name!r} has other networks than this agent; "
                    "use the options, the task's spaces and the agent it was saved with"
                )
            for part, views in kept.items():
                for key, view in group.views(getattr(group, part)[s]).items():
                    view.copy_(views[key])
        if state["groups"].keys() != self.groups.keys():
            raise UserError(
                f"the checkpoint has the networks {sorted(state['groups'])}, this agent {sorted(self.groups)}; "
                "use the agent it was saved with"
            )
        self.alive[s] = state["alive"]
        self.gradient_steps.fill_(state["gradient_steps"])
        self.descents.fill_(state["descents"])


def model_loss(parts: Parts, *inputs: Any) -> Any:
    return parts.world_model.loss(*inputs)
