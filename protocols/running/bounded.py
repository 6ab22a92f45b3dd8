"""Limits the memory for loading a stranger's run, because its options and files decide how much memory is needed."""

from __future__ import annotations

import contextlib
import pickle
import resource
from collections.abc import Iterator
from pathlib import Path

from dreamer_bench_base import InvalidData, UserError
from dreamer_bench_weights import MOST_WEIGHT_BYTES

MORE_BYTES = 4 << 30
"""Additional addresses that the process may use; PlaNet's decisions at the paper's size and a renderer need less than 2 GiB."""
TIMES_THE_CHECKPOINT = 4
"""Memory for a checkpoint in units of its size: read, built, and with gradients."""

DAMAGED = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
)
"""Exceptions that an agent raises for a checkpoint with files that it did not write."""


@contextlib.contextmanager
def memory(folder: Path, checkpoint_bytes: int, *, device: str) -> Iterator[None]:
    """Inside, the process may not use more memory than a checkpoint of this size needs; else InvalidData names the folder.

    There is no limit on a GPU, whose driver reserves any number of addresses, nor if the kernel does not count them. What does
    not fit a GPU is a UserError.
    """
    most = MORE_BYTES + TIMES_THE_CHECKPOINT * min(checkpoint_bytes, MOST_WEIGHT_BYTES)
    before = resource.getrlimit(resource.RLIMIT_AS)
    taken = _addresses()
    bounded = device == "cpu" and taken is not None
    if bounded:
        assert taken is not None
        wanted = taken + most
        resource.setrlimit(resource.RLIMIT_AS, (wanted if before[0] < 0 else min(wanted, before[0]), before[1]))
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if bounded and (isinstance(error, MemoryError) or "allocate memory" in str(error) or "bad_alloc" in str(error)):
            raise InvalidData(
                f"{folder} takes more than {most / 2**30:.0f} GiB of memory, which its checkpoint of "
                f"{checkpoint_bytes / 2**20:.1f} MiB does not explain; check the options in its manifest"
            ) from None
        if not bounded and "out of memory" in str(error):  # torch.OutOfMemoryError of a GPU
            raise UserError(
                f"{folder} does not fit the memory of the GPU; give --device cpu, or check the options in its manifest"
            ) from None
        raise
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextlib.contextmanager
def loading(folder: Path, agent: str) -> Iterator[None]:
    """Turns exceptions of an agent for a checkpoint that it did not write into one line."""
    try:
        yield
    except UserError:
        raise
    except DAMAGED as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise InvalidData(
            f"{folder}: agent {agent!r} cannot load the checkpoint ({why}); give the runs folder as `run` left it"
        ) from error


def _addresses(source: Path = Path("/proc/self/statm")) -> int | None:
    """Bytes of addresses of this process; None if the kernel does not report them."""
    return int(source.read_text().split()[0]) * resource.getpagesize() if source.exists() else None
