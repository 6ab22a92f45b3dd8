"""Makes the draws of libraries that use the global generators of Python, NumPy or torch a function of a key."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Inside, the global generators start from `key`, for example (run seed, purpose, position). Afterwards they are as before.

    So the draws depend on the key alone: acting does not change training, seeds do not change each other, and a resumed run
    draws the same numbers as an uninterrupted one. This includes torch's CPU generator if torch is loaded, and no GPU's.
    """
    torch = sys.modules.get("torch")
    before = random.getstate(), np.random.get_state(), None if torch is None else torch.random.get_rng_state()  # noqa: NPY002
    words = np.random.SeedSequence(key).generate_state(3, np.uint32)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))  # noqa: NPY002
    if torch is not None:
        torch.random.default_generator.manual_seed(int(words[2]))
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        if torch is not None:
            torch.random.set_rng_state(before[2])
