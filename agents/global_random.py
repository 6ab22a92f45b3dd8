"""For libraries that draw from the global generators of Python, NumPy or torch: their draws as a function of a key."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Inside, the global generators start from `key`, for example (run seed, purpose, position); outside they are as before.

    So what is drawn depends on the key alone: acting disturbs no training, seeds do not disturb each other, and a resumed run
    draws what an uninterrupted one draws. torch's generator is covered where torch is loaded (its CPU generator only).
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
