"""The seed axis: S learners in one program. The only file that knows it.

Parameters of a group live in one buffer [S, P]; the parameters of each seed's modules are views of its row. A function written
for one seed is lifted over the axis in one of two ways: a loop over the seeds (each with its own modules), or `vmap` over one
`functional_call` on the root module. Which is faster depends on the device and was measured: docs/performance.md.

To stay capturable in a CUDA graph: static shapes, no `.item()`, no branch on a tensor; batches and noise come in.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from agents.behaviors.api import Behavior, OptimizerSettings, Parts
from agents.learning.captured import Captured
from agents.learning.noise import INITIAL, Noise
from agents.learning.trees import cloned, detached, row, signature, stack
from agents.models.networks import initialize
from dreamer_bench_base import UserError

MODEL = "world_model"
BETAS = (0.9, 0.999)
ALIGNMENT = 16  # floats: every parameter begins on a cache line, which the convolution libraries like


class Group:
    """Parameters, gradients and Adam's moments of one group for all seeds, each one buffer [S, P]."""

    def __init__(self, module: nn.Module, num_seeds: int, device: torch.device, settings: OptimizerSettings | None):
        self.settings = settings
        self.layout: dict[str, tuple[int, torch.Size]] = {}
        size = 0
        for name, parameter in module.named_parameters():
            self.layout[name] = (size, parameter.shape)
            size += -(-parameter.numel() // ALIGNMENT) * ALIGNMENT
        self.values = torch.zeros(num_seeds, size, device=device)
        if settings is not None:
            self.gradient, self.scratch = torch.zeros_like(self.values), torch.zeros_like(self.values)
            self.mean, self.square = torch.zeros_like(self.values), torch.zeros_like(self.values)

    def views(self, buffer: Tensor) -> dict[str, Tensor]:
        """name -> [S, *shape] (or [*shape] from one row), sharing memory with the buffer."""
        lead = buffer.shape[:-1]
        return {
            name: buffer[..., start : start + shape.numel()].view(*lead, *shape) for name, (start, shape) in self.layout.items()
        }

    def descend(self, alive: Tensor, scale: Tensor, step: Tensor) -> None:
        """One step of Adam for the seeds alive; `scale` [S] clips. Keras' epsilon: added to √v before its bias correction."""
        assert self.settings is not None
        first, second = BETAS
        # A fill, not a product with 0: the gradient of a diverged seed is not finite.
        self.gradient.mul_(scale[:, None]).masked_fill_(~alive[:, None], 0.0)
        self.mean.lerp_(self.gradient, 1.0 - first)
        self.square.mul_(second).addcmul_(self.gradient, self.gradient, value=1.0 - second)
        rate = self.settings.learning_rate * (1.0 - second**step).sqrt() / (1.0 - first**step)
        torch.sqrt(self.square, out=self.scratch).add_(self.settings.epsilon)
        torch.div(self.mean, self.scratch, out=self.scratch)
        if self.settings.weight_decay:
            self.values.mul_((1.0 - self.settings.weight_decay * alive)[:, None])
        self.values.addcmul_(self.scratch, -(rate * alive)[:, None])


class Learner:
    """Networks, optimisers and the update of S seeds.

    build     makes the parts of one seed; called once, its parameter values are replaced
    lift      "loop" or "vmap"; decisions of a behaviour that `decides_together` are always lifted by vmap
    compile   hand the lifted losses to torch.compile (lift "vmap")
    capture   on a GPU, replay every update and every decision as one CUDA graph
    model_first  the model descends before the behaviour learns from it (DreamerV2); else both see the weights from before
    """

    def __init__(
        self,
        build: Callable[[], Parts],
        *,
        model_optimizer: OptimizerSettings,
        behavior: Behavior,
        noise: Noise,
        precision: torch.dtype = torch.float32,
        lift: str = "loop",
        compile: bool = False,
        capture: bool = False,
        model_first: bool = False,
    ):
        self.behavior, self.seeds, self.device, self.lift = behavior, noise.seeds, noise.device, lift
        self.model_first = model_first
        if compile and lift != "vmap":
            raise UserError(f'compile needs the lift "vmap", not {lift!r}: a loop would compile every seed\'s modules apart')
        self.precision, self.compile, self.capture = precision, compile, capture and self.device.type == "cuda"
        with torch.device("meta"):
            parts = build()
        parts.to_empty(device="cpu")
        self.trained = {MODEL: model_optimizer, **behavior.optimizers}
        copies = {name: target.source for name, target in behavior.targets.items()}
        self.groups = {
            name: Group(module, len(self.seeds), self.device, self.trained.get(name)) for name, module in parts.named_children()
        }
        if self.groups.keys() != self.trained.keys() | copies.keys():
            raise UserError(
                f"the behaviour trains {sorted(self.trained)} and copies to {sorted(copies)}, "
                f"but its networks are {sorted(self.groups)}"
            )
        for number, seed in enumerate(self.seeds):
            for name, group in self.groups.items():
                module = parts.get_submodule(copies.get(name, name))
                # Every group has a generator of its own: a world model starts the same whatever behaviour comes with it.
                initialize(module, noise.host_generator(seed, INITIAL, *copies.get(name, name).encode()))
                for key, view in group.views(group.values[number]).items():
                    view.copy_(module.get_parameter(key).detach())
        self.modules = [self._module_of(parts, row) for row in range(len(self.seeds))] if lift == "loop" else []
        self.skeleton = parts.to(self.device)
        self.stacked = {
            f"{name}.{key}": view.detach().requires_grad_(name in self.trained)
            for name, group in self.groups.items()
            for key, view in group.views(group.values).items()
        }
        self.alive = torch.ones(len(self.seeds), dtype=torch.bool, device=self.device)
        self.gradient_steps = torch.zeros((), device=self.device)  # model updates
        self.descents = torch.zeros((), device=self.device)  # behaviour updates
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._lifted: dict[Callable, Callable] = {}
        self._captured: dict[Any, Captured] = {}

    def _module_of(self, parts: Parts, row: int) -> Parts:
        module = copy.deepcopy(parts).to("meta")
        for name, group in self.groups.items():
            for key, view in group.views(group.values[row]).items():
                owner, _, attribute = f"{name}.{key}".rpartition(".")
                setattr(module.get_submodule(owner), attribute, nn.Parameter(view, requires_grad=name in self.trained))
        return module

    # -- lifting ---------------------------------------------------------------------------------------------------------------

    def apply(self, function: Callable, *inputs: Any) -> Any:
        """function(parts, *inputs of one seed) for every seed, without gradient; tensors of inputs and result lead with [S].

        `function` is the same object at every call: it names the captured graph.
        """
        if not self.capture:
            return self._apply(function, *inputs)
        key = (function, signature(inputs))
        if key not in self._captured:
            self._captured[key] = Captured(lambda *inputs: self._apply(function, *inputs), inputs)
        return cloned(self._captured[key](*inputs))  # the graph's own results are overwritten by its next call

    def _apply(self, function: Callable, *inputs: Any) -> Any:
        with torch.no_grad(), self._compute():
            if self.lift == "loop" and not (self.behavior.decides_together and len(self.seeds) > 1):
                return stack([function(module, *(row(tree, s) for tree in inputs)) for s, module in enumerate(self.modules)])
            return self._lift(function)(self.stacked, *inputs)

    def _lift(self, function: Callable) -> Callable:
        return vmap(lambda values, *rows: functional_call(self.skeleton, values, (function, *rows)))

    def _lift_loss(self, function: Callable) -> Callable:
        if function not in self._lifted:
            lifted = self._lift(function)
            self._lifted[function] = torch.compile(lifted, dynamic=False, fullgraph=True) if self.compile else lifted
        return self._lifted[function]

    def _compute(self) -> AbstractContextManager:
        if self.precision == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.precision)

    # -- learning --------------------------------------------------------------------------------------------------------------

    def update(
        self, batch: Mapping[str, Tensor], model_noise: Mapping[str, Tensor], behavior_noise: Sequence[Mapping[str, Tensor]]
    ) -> None:
        """One model update and `behavior.repeats` behaviour updates on a batch [S, T, B, ...].

        All losses of the first repeat see the weights from before the update, unless the model goes first
        (docs/algorithms/dreamer.md §8).
        """
        inputs = (dict(batch), dict(model_noise), [dict(noise) for noise in behavior_noise])
        if self.capture:
            if "update" not in self._captured:
                self._captured["update"] = Captured(self._update, inputs, changes=self._changing())
            rounds = self._captured["update"](*inputs)
        else:
            rounds = self._update(*inputs)
        for metrics in rounds:
            self._note(metrics)

    def _changing(self) -> list[Tensor]:
        """Every tensor that an update changes and a later one reads."""
        buffers = [self.alive, self.gradient_steps, self.descents]
        for group in self.groups.values():
            buffers += [group.values, *([group.mean, group.square] if group.settings is not None else [])]
        return buffers

    def _update(
        self, batch: Mapping[str, Tensor], model_noise: Mapping[str, Tensor], behavior_noise: Sequence[Mapping[str, Tensor]]
    ) -> list[dict[str, Tensor]]:
        """The update itself, nothing but tensors in and out; metrics [S] of every round."""
        together, later = ([], behavior_noise) if self.model_first else (behavior_noise[:1], behavior_noise[1:])
        if self.lift == "loop":
            found = [
                self._gradients(self._caller(s), s, row(batch, s), row(model_noise, s), [row(noise, s) for noise in together])
                for s in range(len(self.seeds))
            ]
            observed, metrics = [o for o, _ in found], stack([m for _, m in found])
        else:
            observed, metrics = self._gradients(self._caller(None), None, batch, model_noise, together)
        self.gradient_steps += 1.0
        rounds = [self._descend(self.trained if together else [MODEL], metrics)]
        for noise in later:
            if self.lift == "loop":
                metrics = stack(
                    [
                        self._behavior_gradients(self._caller(s), s, observed[s], row(batch, s), row(noise, s))
                        for s in range(len(self.seeds))
                    ]
                )
            else:
                metrics = self._behavior_gradients(self._caller(None), None, observed, batch, noise)
            rounds.append(self._descend(self.behavior.optimizers, metrics))
        return rounds

    def _caller(self, s: int | None) -> Callable:
        """Calls a one-seed function of the parts: of seed `s`, or of all seeds at once."""
        if s is not None:
            return lambda function, *inputs: function(self.modules[s], *inputs)
        return lambda function, *inputs: self._lift_loss(function)(self.stacked, *inputs)

    def _leaves(self, name: str, s: int | None) -> list[Tensor]:
        if s is None:
            return [self.stacked[f"{name}.{key}"] for key in self.groups[name].layout]
        return list(self.modules[s].get_submodule(name).parameters())

    def _gradients(self, call: Callable, s: int | None, batch, model_noise, together):
        """Of the model, and of the behaviour for every noise in `together`: none, or one."""
        with self._compute():
            loss, observed, metrics = call(model_loss, batch, model_noise)
        self._differentiate(MODEL, s, loss)
        observed = detached(observed)
        for noise in together:
            metrics = {**metrics, **self._behavior_gradients(call, s, observed, batch, noise)}
        return observed, metrics

    def _behavior_losses(self, parts: Parts, observed: Any, batch: Mapping[str, Tensor], noise: Mapping[str, Tensor]) -> Any:
        return self.behavior.losses(parts, observed, batch, noise, self.gradient_steps)

    def _behavior_gradients(self, call: Callable, s: int | None, observed, batch, noise):
        frozen = self._leaves(MODEL, s)
        for leaf in frozen:  # nothing here trains the model: its activations need not be kept
            leaf.requires_grad_(False)
        with self._compute():
            losses, metrics = call(self._behavior_losses, observed, batch, noise)
        for i, (name, loss) in enumerate(losses.items()):
            self._differentiate(name, s, loss, retain=i + 1 < len(losses))
        for leaf in frozen:
            leaf.requires_grad_(True)
        return metrics

    def _differentiate(self, name: str, s: int | None, loss: Tensor, *, retain: bool = False) -> None:
        """Writes the derivatives of a loss in one group; a sum over seeds has each seed's own derivative in its row."""
        found = torch.autograd.grad(loss.sum(), self._leaves(name, s), retain_graph=retain, materialize_grads=True)
        group = self.groups[name]
        for view, value in zip(group.views(group.gradient if s is None else group.gradient[s]).values(), found):
            view.copy_(value)

    def _descend(self, names, metrics: dict[str, Tensor]) -> dict[str, Tensor]:
        """One step of some groups' optimisers; the metrics, with the gradients' norms among them."""
        learns = any(name != MODEL for name in names)  # the behaviour: its steps are counted apart
        if learns:
            self.descents += 1.0
        finite = self.alive
        norms = {name: torch.linalg.vector_norm(self.groups[name].gradient, dim=1) for name in names}
        for name in names:
            finite = finite & torch.isfinite(norms[name]) & torch.isfinite(metrics.get(f"{name}_loss", norms[name]))
        self.alive.copy_(finite)
        for name in names:
            group = self.groups[name]
            assert group.settings is not None
            clip = group.settings.clip_norm
            step = self.gradient_steps if name == MODEL else self.descents
            group.descend(self.alive, clip / norms[name].clamp_min(clip), step)
            metrics[f"{name}_gradient_norm"] = norms[name]
        for name, target in self.behavior.targets.items() if learns else ():
            self.groups[name].values.lerp_(self.groups[target.source].values, target.step(self.descents))
        return metrics

    def _note(self, metrics: Mapping[str, Tensor]) -> None:
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
        """Everything of seed `s` that an update reads or changes, as plain tensors on the CPU."""
        groups = {}
        for name, group in self.groups.items():
            buffers = {"values": group.values, **({"mean": group.mean, "square": group.square} if group.settings else {})}
            groups[name] = {
                part: {key: view.detach().cpu().clone() for key, view in group.views(buffer[s]).items()}
                for part, buffer in buffers.items()
            }
        return {
            "groups": groups,
            "alive": bool(self.alive[s]),
            "gradient_steps": float(self.gradient_steps),
            "descents": float(self.descents),
        }

    def restore(self, s: int, state: Mapping[str, Any]) -> None:
        """Takes back `state`; raises ValueError if it belongs to other networks."""
        for name, group in self.groups.items():
            kept = state["groups"].get(name, {"values": {}})
            shapes = {key: shape for key, (_, shape) in group.layout.items()}
            if {key: value.shape for key, value in kept["values"].items()} != shapes:
                raise UserError(
                    f"the checkpoint's {name!r} has other networks than this agent; "
                    "use the options, the task's spaces and the agent it was written with"
                )
            for part, views in kept.items():
                for key, view in group.views(getattr(group, part)[s]).items():
                    view.copy_(views[key])
        if state["groups"].keys() != self.groups.keys():
            raise UserError(
                f"the checkpoint has the networks {sorted(state['groups'])}, this agent {sorted(self.groups)}; "
                "use the agent it was written with"
            )
        self.alive[s] = state["alive"]
        self.gradient_steps.fill_(state["gradient_steps"])
        self.descents.fill_(state["descents"])


def model_loss(parts: Parts, *inputs: Any) -> Any:
    return parts.world_model.loss(*inputs)
