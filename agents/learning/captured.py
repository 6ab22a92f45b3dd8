"""A function of tensors as one CUDA graph, which pays for Python and kernel launches only once, at the first call.

Knows nothing of agents. The function must have static shapes, read no value back, not branch on a tensor and draw no random
numbers. Whatever changes between two calls must be an input, or a tensor that is changed in place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from agents.learning.trees import leaves, mapped

WARM_UP_CALLS = 3
"""Calls on a side stream before the capture, which torch.cuda.CUDAGraph requires; libraries choose their kernels in them."""


class Captured:
    """`function(*inputs)`, captured at construction for inputs of these shapes.

    changes  tensors that the function changes in place; they are restored after the warm-up calls

    A call copies the inputs to the memory that the graph reads and replays the graph. The results are always the same tensors,
    so the next call overwrites them.
    """

    def __init__(self, function: Callable[..., Any], inputs: Sequence[Any], *, changes: Sequence[Tensor] = ()):
        self.inputs = [mapped(torch.clone, tree) for tree in inputs]
        kept = [tensor.clone() for tensor in changes]
        self.warm_up(function)
        for tensor, value in zip(changes, kept):
            tensor.copy_(value)
        self._replay, self._results = self.record(function)

    def __call__(self, *inputs: Any) -> Any:
        torch._foreach_copy_(leaves(self.inputs), leaves(inputs), non_blocking=True)
        self._replay()
        return self._results

    def warm_up(self, function: Callable[..., Any]) -> None:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_CALLS):
                function(*self.inputs)
        torch.cuda.current_stream().wait_stream(side)

    def record(self, function: Callable[..., Any]) -> tuple[Callable[[], None], Any]:
        """Records the function without computing it: (replay, tensors for the results)."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            results = function(*self.inputs)
        return graph.replay, results
