"""A function of tensors as one CUDA graph: Python and kernel launches are paid once, at the first call.

Knows nothing of agents. What the function needs: static
shapes, no value read back, no branch on a tensor, no random number drawn inside; whatever changes between two calls is an
input, or a tensor that is changed in place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from agents.learning.trees import leaves, mapped

WARM_UP_CALLS = 3
"""Calls on a side stream before the capture, as torch.cuda.CUDAGraph asks for: libraries choose their kernels then."""


class Captured:
    """`function(*inputs)`, captured at construction for inputs of these shapes.

    changes  tensors that the function changes in place: the calls that warm it up leave no trace in them

    Calling it copies the inputs to where the graph reads them and replays the graph. Its results are always the same tensors:
    the next call overwrites them.
    """

    def __init__(self, function: Callable[..., Any], inputs: Sequence[Any], *, changes: Sequence[Tensor] = ()):
        self._inputs = [mapped(torch.clone, tree) for tree in inputs]
        kept = [tensor.clone() for tensor in changes]
        self._warm_up(function)
        for tensor, value in zip(changes, kept):
            tensor.copy_(value)
        self._replay, self._results = self._record(function)

    def __call__(self, *inputs: Any) -> Any:
        torch._foreach_copy_(leaves(self._inputs), leaves(inputs), non_blocking=True)
        self._replay()
        return self._results

    def _warm_up(self, function: Callable[..., Any]) -> None:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_CALLS):
                function(*self._inputs)
        torch.cuda.current_stream().wait_stream(side)

    def _record(self, function: Callable[..., Any]) -> tuple[Callable[[], None], Any]:
        """Records the function, which computes nothing by that: (replay, where the results will be)."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            results = function(*self._inputs)
        return graph.replay, results
