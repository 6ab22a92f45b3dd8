"""A stranger's run is brought back to act within bounds: its options and its files decide how much memory is taken."""

from __future__ import annotations

import contextlib
import pickle
import resource
from collections.abc import Iterator
from pathlib import Path

from dreamer_bench_base import InvalidData, UserError
from dreamer_bench_weights import MOST_WEIGHT_BYTES

MORE_BYTES = 4 << 30
"""Of addresses, beside what the process has: PlaNet's decisions at the size of the paper and a renderer take under 2 GiB."""
TIMES_THE_CHECKPOINT = 4
"""What it holds, read and built, and gradients."""

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
"""What an agent raises where a checkpoint's files are not those that it writes."""


@contextlib.contextmanager
def memory(folder: Path, checkpoint_bytes: int, *, device: str) -> Iterator[None]:
    """Within, the process takes no more memory than a checkpoint of that size explains; InvalidData names the folder else.

    A GPU's driver reserves addresses without end, so nothing is bounded there; nor where the kernel does not count them.
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
        raise
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextlib.contextmanager
def loading(folder: Path, agent: str) -> Iterator[None]:
    """Turns what an agent raises at a checkpoint that is not its own into one line."""
    try:
        yield
    except UserError:
        raise
    except DAMAGED as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        raise InvalidData(
            f"{folder}: agent {agent!r} cannot load the checkpoint ({why}); give the runs folder as `run` left it"
        ) from error


def _addresses(source: Path = Path("/proc/self/statm")) -> int | None:
    """Bytes of addresses that this process has; None where the kernel does not say."""
    return int(source.read_text().split()[0]) * resource.getpagesize() if source.exists() else None
