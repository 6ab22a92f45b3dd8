"""Layers and recurrent steps for several sets of weights at once, in few operations: the fast way on a CPU.

In small networks most of the time is overhead around the arithmetic: lifting each operation over seeds, and a graph node for
its derivative. Here a function takes tensors [G, ...], where a group is a seed with its own weights, and computes all groups in
one batched product. `over_groups` calls it from code written for one seed, lifted or not. Every function has a slower twin
written for one seed, and tests compare the two. Measurements are in docs/log.md. `lift_over` enters the lift itself, and
`one_by_one` leaves it for what is faster alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._C import _functorch as _C
from torch._functorch.pyfunctorch import retrieve_current_functorch_interpreter
from torch.nn.functional import elu, relu

MOST_AT_ONCE, FEWEST_ROWS = 2**17, 64
"""Numbers of an activation to compute at a time, per thread: 512 KiB of a level-2 cache of 1 to 2 MiB; and the fewest rows.
Measured."""

FEW = 8192
"""Size below which torch's own ELU, one operation, is faster than four operations. Measured."""

Activation = Callable[..., Tensor]
"""torch's elu or relu."""


def usable(tensor: Tensor) -> bool:
    """Whether these functions may be used: on a CPU, without autocast. torch.compile fuses operations itself."""
    return (
        tensor.device.type == "cpu" and not torch.compiler.is_compiling() and not torch.is_autocast_enabled(tensor.device.type)
    )


def over_groups(function: Callable[..., Any], *inputs: Tensor) -> Any:
    """function(*inputs) for one seed [...]; the function itself takes and returns tensors [G, ...].

    Under a lift over seeds, the axis of seeds becomes the axis of groups. A `torch.autograd.Function` with its own vmap rule
    does the same, but a call of it takes 0.25 ms and a call of this function 0.03 ms.
    """
    if not any(_C.is_batchedtensor(tensor) for tensor in inputs):
        return _each(lambda part: part.squeeze(0), function(*(tensor.unsqueeze(0) for tensor in inputs)))
    lift = retrieve_current_functorch_interpreter()
    level = lift.level()
    groups = []
    for tensor in inputs:
        value, axis = _C._unwrap_batched(tensor, level)
        groups.append(value.expand(lift.batch_size(), *value.shape) if axis is None else value.movedim(axis, 0))  # type: ignore[attr-defined]
    with lift.lower():
        result = function(*groups)
    return _each(lambda part: _C._add_batch_dim(part, 0, level), result)


def one_by_one(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """function(*inputs); under a lift on a CPU, one seed after another.

    Lifted convolutions are grouped ones, which a CPU computes more slowly than those of each seed. On a GPU, under autocast and
    in torch.compile this stays an ordinary lift.
    """
    if not usable(inputs[0]) or not any(_C.is_batchedtensor(tensor) for tensor in inputs):
        return function(*inputs)
    return over_groups(lambda *groups: torch.stack([function(*parts) for parts in zip(*groups)]), *inputs)


@contextmanager
def lift_over(groups: int) -> Iterator[tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]]:
    """What `vmap` does around a function, without its walks through trees of arguments: (into, out of) the lift.

    The first takes tensors [G, ...] into code that is written for one group, the second takes its results out of it.
    """
    level = _C._vmap_increment_nesting(groups, "error")

    def into(tensor: Tensor) -> Tensor:
        assert len(tensor) == groups, f"a first axis of {groups}, not {tuple(tensor.shape)}"
        return _C._add_batch_dim(tensor, 0, level)

    try:
        yield into, lambda tensor: _C._remove_batch_dim(tensor, level, groups, 0)
    finally:
        _C._vmap_decrement_nesting()


def _each(change: Callable[[Tensor], Tensor], result: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
    return tuple(change(part) for part in result) if isinstance(result, tuple) else change(result)


def weights_and_biases(layers: Iterable[Any]) -> list[Tensor]:
    """Weight and bias of every layer in turn, as the functions here take them. `parameters()` would walk all modules."""
    return [part for layer in layers for part in (layer.weight, layer.bias)]


def elu_(x: Tensor, scratch: Tensor) -> Tensor:
    """ELU in place: min(max(x, 0), exp(x) - 1). Twice as fast as torch's, whose expm1 is exact to the last bit near 0.

    scratch  memory of the shape of x
    """
    torch.exp(x, out=scratch).sub_(1.0)
    return torch.minimum(x.clamp_min_(0.0), scratch, out=x)


def activate_(activation: Activation, x: Tensor, scratch: Tensor) -> Tensor:
    return elu_(x, scratch) if activation is elu and x.numel() > FEW else activation(x, inplace=True)


def activation_slope(activation: Activation, gradient: Tensor, result: Tensor, out: Tensor | None = None) -> Tensor:
    """The gradient before an ELU or ReLU, from the gradient after it and its result."""
    out = torch.empty_like(gradient) if out is None else out
    if activation is elu:
        return torch.ops.aten.elu_backward.grad_input(gradient, 1.0, 1.0, 1.0, True, result, grad_input=out)
    assert activation is relu
    return torch.ops.aten.threshold_backward.grad_input(gradient, result, 0.0, grad_input=out)


def dense(x: Tensor, weight: Tensor, bias: Tensor, out: Tensor | None = None) -> Tensor:
    """A linear layer for every group: x [G, N, in], weight [G, out, in], bias [G, out] -> [G, N, out]."""
    return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2), out=out)  # type: ignore[call-overload]


def transposed(weight: Tensor) -> Tensor:
    """[G, out, in] -> [G, in, out], contiguous: products read it faster than a transposed view."""
    return weight.transpose(1, 2).contiguous()


def blocks(groups: int, rows: int, width: int) -> list[slice]:
    """Splits rows into blocks that are small enough for the cache and large enough for every thread."""
    at_once = max(MOST_AT_ONCE * torch.get_num_threads() // (groups * width), FEWEST_ROWS)
    pieces = -(-rows // at_once)
    size = -(-rows // pieces)
    return [slice(begin, min(begin + size, rows)) for begin in range(0, rows, size)]


def stack_of_layers(activation: Activation, x: Tensor, *parameters: Tensor) -> Tensor:
    """Dense layers, all but the last activated, without gradient: x [G, N, in]; weight and bias of every layer in turn."""
    layers = list(zip(parameters[::2], parameters[1::2]))
    groups, rows = x.shape[:2]
    widths = [weight.shape[1] for weight, _ in layers]
    result = x.new_empty(groups, rows, widths[-1])
    pieces = blocks(groups, rows, max(widths))
    space: dict[tuple[int, int, int], Tensor] = {}

    def room(turn: int, height: int, width: int) -> Tensor:
        return space.setdefault((turn, height, width), x.new_empty(0)).resize_(groups, height, width)

    if len(pieces) > 1:  # contiguous for `dense`, which transposes; the copy pays off only if several products read it
        layers = [(transposed(weight).transpose(1, 2), bias) for weight, bias in layers]
    for piece in pieces:
        h = x[:, piece]
        for number, (weight, bias) in enumerate(layers[:-1]):
            h = dense(h, weight, bias, out=room(number % 2, h.shape[1], weight.shape[1]))
            activate_(activation, h, room(2, h.shape[1], weight.shape[1]))
        result[:, piece] = dense(h, *layers[-1])
    return result


class Stack(torch.autograd.Function):
    """Dense layers, all but the last with activation: x [G, N, in] -> [G, N, out].

    Inputs: the activation; the results of all layers if they are known, or None; x; weight and bias of every layer in turn.
    """

    @staticmethod
    def forward(ctx: Any, activation: Activation, results: Sequence[Tensor] | None, x: Tensor, *parameters: Tensor) -> Tensor:
        if results is None:
            results, h, scratch = [], x, x.new_empty(0)
            for number, (weight, bias) in enumerate(zip(parameters[::2], parameters[1::2])):
                h = dense(h, weight, bias)
                results.append(h)
                if 2 * number + 2 < len(parameters):
                    scratch = scratch if scratch.shape == h.shape else torch.empty_like(h)
                    activate_(activation, h, scratch)
        ctx.activation = activation
        ctx.save_for_backward(x, *results[:-1], *parameters)
        return results[-1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        count = len(ctx.needs_input_grad[3:]) // 2
        inputs, parameters = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
        found: list[Tensor | None] = []
        for number in reversed(range(count)):
            weight_needs, bias_needs = ctx.needs_input_grad[3 + 2 * number : 5 + 2 * number]
            found[:0] = [
                gradient.mT @ inputs[number] if weight_needs else None,
                gradient.sum(1) if bias_needs else None,
            ]
            if number or ctx.needs_input_grad[2]:
                gradient = torch.bmm(gradient, parameters[2 * number])
            if number:
                gradient = activation_slope(ctx.activation, gradient, inputs[number], out=gradient)
        return None, None, gradient if ctx.needs_input_grad[2] else None, *found


def layers(activation: Activation, x: Tensor, *parameters: Tensor) -> Tensor:
    """Dense layers, all but the last with activation: x [G, N, in] -> [G, N, out]; weight and bias of every layer in turn."""
    if torch.is_grad_enabled():
        return Stack.apply(activation, None, x, *parameters)
    return stack_of_layers(activation, x, *parameters)


def prior_rollout(
    latent: Any,
    activation: Activation,
    deter: Tensor,
    stoch: Tensor,
    actions: Tensor,
    noise: Tensor,
    *parameters: Tensor,
) -> Tensor:
    """Steps of the RSSM's prior under given actions, without gradient: features [G, H, N, Z + D].

    latent      its statistics and samples take any leading axes
    deter       [G, N, D], stoch [G, N, Z]: the start
    actions     [G, H, N, A], noise [G, H, N, ...]
    parameters  input weight and bias, the GRU's four (networks.GRU), hidden weight and bias, statistics weight and bias
    """
    groups, horizon, rows, _ = actions.shape
    size, units = stoch.shape[-1], deter.shape[-1]
    entry, entry_bias, fresh, kept, fresh_bias, kept_bias, hidden, hidden_bias, statistics, statistics_bias = parameters
    gates, candidate = slice(0, 2 * units), slice(2 * units, None)
    weights = tuple(
        transposed(weight)
        for weight in (
            entry[..., size:],
            entry[..., :size],
            *(fresh[:, gates], kept[:, gates]),
            *(fresh[:, candidate], kept[:, candidate]),
            hidden,
            statistics,
        )
    )
    biases = (
        entry_bias,
        (fresh_bias + kept_bias)[:, gates],
        *(fresh_bias[:, candidate], kept_bias[:, candidate]),
        hidden_bias,
        statistics_bias,
    )
    steps = PriorStep(*weights, *(bias.unsqueeze(1) for bias in biases))
    features = actions.new_empty(groups, horizon, rows, size + units)
    for piece in blocks(groups, rows, 2 * units):
        starts, draws = (deter[:, piece], stoch[:, piece]), (actions[:, :, piece], noise[:, :, piece])
        _roll(latent, activation, steps, *starts, *draws, features[:, :, piece])
    return features


class PriorStep(NamedTuple):
    """Weights [G, in, out], contiguous, and biases [G, 1, out] of one step of the RSSM's prior, as its products need them."""

    from_action: Tensor
    from_stoch: Tensor
    fresh_gates: Tensor
    kept_gates: Tensor
    fresh_candidate: Tensor
    kept_candidate: Tensor
    hidden: Tensor
    statistics: Tensor
    entry_bias: Tensor
    gates_bias: Tensor
    fresh_bias: Tensor
    kept_bias: Tensor
    hidden_bias: Tensor
    statistics_bias: Tensor


def _roll(
    latent: Any,
    activation: Activation,
    weights: PriorStep,
    deter: Tensor,
    stoch: Tensor,
    actions: Tensor,
    noise: Tensor,
    features: Tensor,
) -> None:
    """`prior_rollout` for some rows, written into `features`."""
    product: Any = torch.baddbmm
    h, z, size = deter.clone(), stoch, stoch.shape[-1]
    groups, rows, units = h.shape
    x, scratch, inner, inner_scratch = (
        h.new_empty(groups, rows, bias.shape[-1])
        for bias in (weights.entry_bias, weights.entry_bias, weights.hidden_bias, weights.hidden_bias)
    )
    gate, new, old = h.new_empty(groups, rows, 2 * units), torch.empty_like(h), torch.empty_like(h)
    reset, update = gate.split(units, -1)
    for action_t, noise_t, features_t in zip(actions.unbind(1), noise.unbind(1), features.unbind(1)):
        product(weights.entry_bias, action_t, weights.from_action, out=x).baddbmm_(z, weights.from_stoch)
        activate_(activation, x, scratch)
        product(weights.gates_bias, x, weights.fresh_gates, out=gate).baddbmm_(h, weights.kept_gates).sigmoid_()
        product(weights.fresh_bias, x, weights.fresh_candidate, out=new)
        product(weights.kept_bias, h, weights.kept_candidate, out=old)
        torch.lerp(new.addcmul_(reset, old).tanh_(), h, update, out=h)
        activate_(activation, product(weights.hidden_bias, h, weights.hidden, out=inner), inner_scratch)
        z = latent.sample(latent.statistics(product(weights.statistics_bias, inner, weights.statistics)), noise_t)
        features_t[..., :size], features_t[..., size:] = z, h
