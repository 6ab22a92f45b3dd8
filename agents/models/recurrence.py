"""The RSSM's two loops over time, forwards and backwards, for several sets of weights at once (agents/models/grouped.py).

The posterior along a sequence and a dream are the same recurrence with different inputs:

    x_t     = act(entry_t + W z_t-1)              entry: the action's part, and the bias
    h_t     = GRU(x_t, h_t-1)
    inner_t = act(part_t + W h_t)                 part: the embedding's part (posterior), or the bias alone (dream)
    z_t     = mean + std · noise_t                mean, raw std = halves of W inner_t + b; std = softplus(raw std) + min_std

Time is the first axis, [T, G, B, ...], so that a step is one block of memory. The derivative goes back in time only through the
states; the gradients of the weights are one product for all steps at the end. agents/models/rssm.py has the slower twin.

The file has more than 300 lines, because each loop is next to its derivative.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from agents.models.grouped import Activation, Stack, activate_, activation_slope, dense, layers, transposed


class Cell(NamedTuple):
    """Weights of the recurrence, each [G, ...]. X: width of the GRU's input; I: width of the hidden layer of the statistics."""

    from_stoch: Tensor  # [X, Z]
    fresh: Tensor  # [3 D, X], gates in the order reset, update, candidate
    kept: Tensor  # [3 D, D]
    fresh_bias: Tensor
    kept_bias: Tensor
    from_deter: Tensor  # [I, D]
    statistics: Tensor  # [2 Z, I]
    statistics_bias: Tensor


class Track(NamedTuple):
    """Results of a loop [T, G, B, ...] that its derivative needs. before: the state from which a step began."""

    deter_before: Tensor
    stoch_before: Tensor
    entered: Tensor
    gates: Tensor
    kept: Tensor
    candidate: Tensor
    inner: Tensor
    raw: Tensor
    std: Tensor
    deter: Tensor
    stoch: Tensor


class Loop:
    """The recurrence, one step at a time from a state [G, B, ...]; every step adds to `track`.

    restarts  whether a step can begin from another state than the last one (`keep` of `step`)
    """

    def __init__(
        self, cell: Cell, activation: Activation, min_std: float, steps: int, deter: Tensor, stoch: Tensor, *, restarts: bool
    ):
        self.cell, self.activation, self.min_std = cell, activation, min_std
        groups, rows, units = deter.shape
        size, width, inner = stoch.shape[-1], cell.fresh.shape[2], cell.from_deter.shape[1]

        def room(columns: int, more: int = 0) -> Tensor:
            return deter.new_empty(steps + more, groups, rows, columns)

        states, draws = room(units, 1), room(size, 1)
        states[0], draws[0] = deter, stoch
        self.track = track = Track(
            deter_before=room(units) if restarts else states[:-1],
            stoch_before=room(size) if restarts else draws[:-1],
            entered=room(width),
            gates=room(2 * units),
            kept=room(units),
            candidate=room(units),
            inner=room(inner),
            raw=room(2 * size),
            std=room(size),
            deter=states[1:],
            stoch=draws[1:],
        )
        self._last = list(zip(states.unbind(), draws.unbind()))
        self._steps = list(zip(*(part.unbind() for part in track)))
        self._scratch = deter.new_empty(groups, rows, width), deter.new_empty(groups, rows, inner)
        # Contiguous, because with few rows a product with a transposed view takes twice as long. Gates and candidate are
        # separate, so that no operation uses a part of a matrix.
        gates, candidate = slice(0, 2 * units), slice(2 * units, None)
        self._from_stoch, self._from_deter = transposed(cell.from_stoch), transposed(cell.from_deter)
        self._fresh_gates, self._fresh_candidate = transposed(cell.fresh[:, gates]), transposed(cell.fresh[:, candidate])
        self._kept_gates, self._kept_candidate = transposed(cell.kept[:, gates]), transposed(cell.kept[:, candidate])
        self._statistics, self._statistics_bias = transposed(cell.statistics), cell.statistics_bias.unsqueeze(1)
        self._gates_bias = (cell.fresh_bias[:, gates] + cell.kept_bias[:, gates]).unsqueeze(1)
        self._fresh_bias = cell.fresh_bias[:, candidate].unsqueeze(1)
        self._kept_bias = cell.kept_bias[:, candidate].unsqueeze(1)

    def step(self, t: int, entry: Tensor, part: Tensor, noise: Tensor, keep: Tensor | None = None) -> None:
        """Step t. entry [G, B, X], part [G, B, I] and noise [G, B, Z] may broadcast; keep [G, B, 1] multiplies the state."""
        product: Any = torch.baddbmm
        deter, stoch, entered, gates, kept, candidate, inner, raw, std, new_deter, new_stoch = self._steps[t]
        if keep is not None:
            torch.mul(self._last[t][0], keep, out=deter)
            torch.mul(self._last[t][1], keep, out=stoch)
        activate_(self.activation, product(entry, stoch, self._from_stoch, out=entered), self._scratch[0])
        product(self._gates_bias, deter, self._kept_gates, out=gates).baddbmm_(entered, self._fresh_gates).sigmoid_()
        reset, update = gates.split(new_deter.shape[-1], -1)
        product(self._kept_bias, deter, self._kept_candidate, out=kept)
        product(self._fresh_bias, entered, self._fresh_candidate, out=candidate).addcmul_(reset, kept).tanh_()
        torch.lerp(candidate, deter, update, out=new_deter)
        activate_(self.activation, product(part, new_deter, self._from_deter, out=inner), self._scratch[1])
        mean, deviation = product(self._statistics_bias, inner, self._statistics, out=raw).chunk(2, -1)
        torch.add(softplus(deviation.contiguous()), self.min_std, out=std)
        torch.addcmul(mean, std, noise, out=new_stoch)


class Recurrence(torch.autograd.Function):
    """States and statistics [G, T, B, ...] of a loop that has run, and their derivative.

    Inputs: the loop; keep [T, G, B, 1] or None; noise [T, G, B, Z]; then the differentiable ones: entry [T, G, B, X],
    part [T, G, B, I], the first state, the cell. Outputs: deter, stoch, mean, std.
    """

    @staticmethod
    def forward(
        ctx: Any,
        loop: Loop,
        keep: Tensor | None,
        noise: Tensor,
        entry: Tensor,
        part: Tensor,
        deter: Tensor,
        stoch: Tensor,
        *cell: Tensor,
    ) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.loop, ctx.keep, ctx.noise = loop, keep, noise
        track = loop.track
        mean = track.raw[..., : track.std.shape[-1]]
        return tuple(part.transpose(0, 1) for part in (track.deter, track.stoch, mean, track.std))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        loop, keep, noise = ctx.loop, ctx.keep, ctx.noise
        cell, track = loop.cell, loop.track
        by_deter, by_stoch, by_mean, by_std = (None if part is None else part.transpose(0, 1) for part in gradients)
        units, size = track.deter.shape[-1], track.stoch.shape[-1]
        reset, update = track.gates.split(units, -1)
        # The derivative of the state with respect to each of its parts, for all steps, before the loop.
        into_candidate = (1.0 - update).mul_(torch.addcmul(_one(update), track.candidate, track.candidate, value=-1.0))
        into_update = (track.deter_before - track.candidate).mul_(update).mul_(1.0 - update)
        into_reset = (track.kept * reset).mul_(1.0 - reset)
        into_deviation = torch.sigmoid(track.raw[..., size:])
        kept_candidate_first = torch.cat([cell.kept[:, 2 * units :], cell.kept[:, : 2 * units]], 1)

        def like(tensor: Tensor, columns: int) -> Tensor:
            return tensor.new_empty(*tensor.shape[:-1], columns)

        raw, inner, entry = torch.empty_like(track.raw), torch.empty_like(track.inner), torch.empty_like(track.entered)
        # kept candidate, reset, update, fresh candidate: the first three depend on the old state, the last three on the input
        gates = like(track.deter, 4 * units)
        deter, stoch = torch.zeros_like(track.deter[0]), torch.zeros_like(track.stoch[0])
        # Views of all steps at once, because an index per use would cost as much as the arithmetic of few rows.
        over_time = zip(
            *(
                tensor.unbind()
                for tensor in (
                    raw, raw[..., :size], raw[..., size:], inner, entry, gates[..., : 3 * units], gates[..., units:],
                    *gates.split(units, -1), track.inner, track.entered, reset, update,
                    into_candidate, into_update, into_reset, into_deviation,
                )
            ),
            noise.unbind(),
        )  # fmt: skip
        for t, (
            raw_t, mean, deviation, inner_t, entry_t, to_kept, to_fresh, old, through_reset, through_update, new, was_inner,
            was_entered, reset_t, update_t, into_candidate_t, into_update_t, into_reset_t, into_deviation_t, noise_t,
        ) in reversed(list(enumerate(over_time))):  # fmt: skip
            if by_deter is not None:
                deter += by_deter[t]
            if by_stoch is not None:
                stoch += by_stoch[t]
            torch.mul(stoch, noise_t, out=deviation)
            if by_std is not None:
                deviation += by_std[t]
            deviation *= into_deviation_t
            mean.copy_(stoch if by_mean is None else stoch + by_mean[t])
            activation_slope(loop.activation, torch.bmm(raw_t, cell.statistics), was_inner, out=inner_t)
            deter.baddbmm_(inner_t, cell.from_deter)
            torch.mul(deter, into_candidate_t, out=new)
            torch.mul(deter, into_update_t, out=through_update)
            torch.mul(new, into_reset_t, out=through_reset)
            torch.mul(new, reset_t, out=old)
            activation_slope(loop.activation, torch.bmm(to_fresh, cell.fresh), was_entered, out=entry_t)
            deter = (deter * update_t).baddbmm_(to_kept, kept_candidate_first)
            stoch = torch.bmm(entry_t, cell.from_stoch)
            if keep is not None:
                deter *= keep[t]
                stoch *= keep[t]
        weights: list[Tensor | None] = [None] * len(cell)
        if any(ctx.needs_input_grad[7:]):
            old = gates[..., : 3 * units].roll(-units, -1)
            old_flat, fresh_flat, raw_flat = flat(old), flat(gates[..., units:]), flat(raw)
            weights = [
                flat(entry).mT @ flat(track.stoch_before),
                fresh_flat.mT @ flat(track.entered),
                old_flat.mT @ flat(track.deter_before),
                fresh_flat.sum(1),
                old_flat.sum(1),
                flat(inner).mT @ flat(track.deter),
                raw_flat.mT @ flat(track.inner),
                raw_flat.sum(1),
            ]
        return None, None, None, entry, inner, deter, stoch, *weights


def _one(like: Tensor) -> Tensor:
    return like.new_ones(())


def flat(track: Tensor) -> Tensor:
    """[T, G, B, ...] -> [G, T·B, ...]."""
    return track.transpose(0, 1).flatten(1, 2)


def posterior(
    activation: Activation,
    min_std: float,
    action: Tensor,
    embed: Tensor,
    keep: Tensor,
    noise: Tensor,
    *parameters: Tensor,
) -> tuple[Tensor, ...]:
    """The RSSM along sequences: deter, stoch, mean and std of the posterior, and the prior's raw statistics, [G, T, B, ...].

    action      [G, T, B, A], embed [G, T, B, E], keep [G, T, B, 1], noise [G, T, B, Z]
    parameters  weights and biases: input, the GRU's four, the prior's hidden layer and statistics, the posterior's
    """
    groups, steps, rows, width = action.shape
    entry_weight, entry_bias, fresh, kept, fresh_bias, kept_bias, *prior = parameters[:10]
    hidden, hidden_bias, statistics, statistics_bias = parameters[10:]
    units, size = kept.shape[2], statistics.shape[1] // 2
    from_stoch, from_action = entry_weight.split([size, width], 2)
    from_deter, from_embed = hidden.split([units, embed.shape[-1]], 2)
    cell = Cell(from_stoch, fresh, kept, fresh_bias, kept_bias, from_deter, statistics, statistics_bias)
    entry = dense((action * keep).flatten(1, 2), from_action, entry_bias).unflatten(1, (steps, rows)).transpose(0, 1)
    part = dense(embed.flatten(1, 2), from_embed, hidden_bias).unflatten(1, (steps, rows)).transpose(0, 1)
    keep, noise = keep.transpose(0, 1), noise.transpose(0, 1)
    deter, stoch = embed.new_zeros(groups, rows, units), embed.new_zeros(groups, rows, size)
    with torch.no_grad():
        loop = Loop(cell, activation, min_std, steps, deter, stoch, restarts=True)
        for t in range(steps):
            loop.step(t, entry[t], part[t], noise[t], keep[t])
    found = Recurrence.apply(loop, keep, noise, entry, part, deter, stoch, *cell)
    raw = layers(activation, found[0].flatten(1, 2), *prior).unflatten(1, (steps, rows))
    return *found, raw


def dream(
    activation: Activation,
    min_std: float,
    actor_activation: Activation,
    sample: Callable[[Tensor, Tensor], Tensor],
    deter: Tensor,
    stoch: Tensor,
    latent_noise: Tensor,
    policy_noise: Tensor,
    *parameters: Tensor,
) -> tuple[Tensor, Tensor]:
    """Imagined steps under an actor: features [G, H, N, Z + D] and actions [G, H, N, A].

    The actor's input carries no gradient, so the gradients of its weights are one product for all steps. The loop computes no
    derivatives; afterwards the actions are computed again, from the results of the loop, with their derivative.

    sample        (raw output of the actor, noise) -> action, with any leading axes
    deter, stoch  [G, N, ...]: the starts
    parameters    weights and biases: input, the GRU's four, the prior's hidden layer and statistics, the actor's layers
    """
    entry_weight, entry_bias, fresh, kept, fresh_bias, kept_bias, hidden, hidden_bias, statistics, statistics_bias = parameters[
        :10
    ]
    actor = parameters[10:]
    groups, rows, units = deter.shape
    size, steps = stoch.shape[-1], latent_noise.shape[1]
    from_stoch, from_action = entry_weight.split([size, entry_weight.shape[2] - size], 2)
    cell = Cell(from_stoch, fresh, kept, fresh_bias, kept_bias, hidden, statistics, statistics_bias)
    latent_noise, part = latent_noise.transpose(0, 1), hidden_bias.unsqueeze(1)
    with torch.no_grad():
        loop = Loop(cell, activation, min_std, steps, deter, stoch, restarts=False)
        track = loop.track
        seen = deter.new_empty(steps, groups, rows, size + units)
        outputs = [deter.new_empty(steps, groups, rows, weight.shape[1]) for weight in actor[::2]]
        scratch = [torch.empty_like(output[0]) for output in outputs]
        for t in range(steps):
            seen[t, ..., :size], seen[t, ..., size:] = track.stoch_before[t], track.deter_before[t]
            x = seen[t]
            for number, (weight, bias) in enumerate(zip(actor[::2], actor[1::2])):
                x = dense(x, weight, bias, out=outputs[number][t])
                if number + 1 < len(outputs):
                    activate_(actor_activation, x, scratch[number])
            action = sample(x, policy_noise[:, t])
            loop.step(t, dense(action, from_action, entry_bias), part, latent_noise[t])
    raw = Stack.apply(actor_activation, [flat(output) for output in outputs], flat(seen), *actor)
    actions = sample(raw.unflatten(1, (steps, rows)), policy_noise)
    entry = dense(actions.flatten(1, 2), from_action, entry_bias).unflatten(1, (steps, rows)).transpose(0, 1)
    part = part.expand(steps, groups, rows, part.shape[-1])
    found = Recurrence.apply(loop, None, latent_noise, entry, part, deter, stoch, *cell)
    return torch.cat([found[1], found[0]], -1), actions
