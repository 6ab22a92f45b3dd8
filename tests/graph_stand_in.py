"""A stand-in for CUDA graphs, for tests without a GPU: a replay calls the function again on the memory that a graph would read.

It shows that the code around a graph copies the inputs, compares the first results and stops where they differ. It shows
nothing about CUDA.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from agents.learning.captured import Captured
from agents.learning.trees import leaves, mapped


class GraphStandIn:
    """While `monkeypatch` holds, every `Captured` is a stand-in.

    changing  tensors that an update changes: recording a graph computes nothing, so they are restored after it
    spoil     changes the results of a replay, as a broken graph would
    """

    def __init__(self, monkeypatch: Any) -> None:
        self.changing: list[Tensor] = []
        self.spoil: Callable[[Any], Any] = lambda results: None
        monkeypatch.setattr(Captured, "warm_up", lambda captured, function: function(*captured.inputs))
        monkeypatch.setattr(Captured, "record", lambda captured, function: self.record(captured, function))

    def record(self, captured: Captured, function: Callable[..., Any]) -> tuple[Callable[[], None], Any]:
        kept = mapped(Tensor.clone, self.changing)
        results = mapped(Tensor.clone, function(*captured.inputs))
        for tensor, value in zip(self.changing, kept):
            tensor.copy_(value)

        def replay() -> None:
            for place, value in zip(leaves(results), leaves(function(*captured.inputs))):
                place.copy_(value)
            self.spoil(results)

        return replay, results
