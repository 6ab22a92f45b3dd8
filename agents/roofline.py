"""How much work each part of an update is, and the least time that this work could take on the device.

    FLOP    of products and convolutions with their derivatives, as torch counts them (a multiplication and an addition are two)
    bytes   what every operation reads and writes, as if nothing stayed in a cache between two operations
    product FLOP per second of one large matrix product in the same process: a rate that matrix products can reach

An update cannot be faster than its FLOP divided by the rate of the product. This is the lower bound ("floor") of the machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

PRODUCT_WIDTH = 2048
"""Rows and columns of the matrices: 17 GFLOP per product and three matrices of 16 MB, so that memory is not the limit."""

Clock = Callable[[str], AbstractContextManager[None]]


class ByteCounter(TorchDispatchMode):
    """Sums the bytes of the tensors that operations read and write. A view counts 0."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            tensors = {id(each): each for each in tree_leaves((args, kwargs, result)) if isinstance(each, Tensor)}
            self.total += sum(_bytes(each) for each in tensors.values())
        return result


def _bytes(tensor: Tensor) -> int:
    """Bytes of a tensor; an expanded one counts no more than its storage."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def work_of(call: Callable[[Clock], Any]) -> dict[str, tuple[float, float]]:
    """part -> (FLOP, bytes) of one call. The call names its parts with the clock that it gets; parts may be nested."""
    found: dict[str, tuple[float, float]] = {}
    with FlopCounterMode(display=False) as flop, ByteCounter() as moved:

        @contextmanager
        def clock(part: str) -> Iterator[None]:
            before = flop.get_total_flops(), moved.total
            yield
            known = found.get(part, (0.0, 0.0))
            found[part] = (known[0] + flop.get_total_flops() - before[0], known[1] + moved.total - before[1])

        call(clock)
    return found


def product_flop_per_second(device: str, seconds: float, dtype: torch.dtype = torch.float32) -> float:
    """The rate of one large matrix product: the median of as many products as fit into the time, at least three."""
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(PRODUCT_WIDTH, PRODUCT_WIDTH, generator=generator).to(device, dtype) for _ in range(2))
    out = left @ right
    times: list[float] = []
    while len(times) < 3 or sum(times) < min(seconds, 2.0):
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        started = time.perf_counter()
        torch.mm(left, right, out=out)
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return 2 * PRODUCT_WIDTH**3 / median(times)
