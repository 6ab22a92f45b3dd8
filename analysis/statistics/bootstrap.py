"""Stratified bootstrap over runs within tasks, as arithmetic on counts instead of on resampled scores.

How often each run was drawn decides a resample of the n runs of a task. With the runs of all tasks stacked into N rows and the
resamples along the fast axis, every aggregate is a weighted sum whose weights are these counts:

    counts[i, r]   how often run i is in resample r; rows of one task sum to its number of runs
    trimmed mean   sort the N rows by score once; the running sum of counts says which part of each row is in the middle half

So nothing is sorted per resample, and one byte per run and resample is moved. Resampling whole runs at many points of a
curve reuses the same counts. The distribution is that of rliable 1.2.0 (`StratifiedBootstrap`), with which tests compare.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Counts = NDArray[np.unsignedinteger]

CHUNK = 8_192
"""Resamples at a time: 8192 x 100 runs of float64 are 6.5 MB, about a level-2 cache. Another value would change the digits."""

TRIM = 0.25

CACHED = 65_536
"""Counts that become float64 at a time: half a mebibyte, which is still in the cache when it is added up."""


def generator(purpose: str, tasks: Sequence[str], values: Sequence[Values]) -> np.random.Generator:
    """A generator that depends only on the purpose and the data, so that the same scores give the same digits.

    tasks are sorted and values[t] is in a canonical order, so that row order and seed labels have no effect.
    """
    state = hashlib.sha256(f"dreamer-bench bootstrap 1 {purpose}".encode())
    for task, score in zip(tasks, values, strict=True):
        state.update(f"\0{task}\0{score.shape}\0".encode())
        state.update(np.ascontiguousarray(score + 0.0, dtype="<f8").tobytes())  # + 0.0 turns -0.0 into 0.0
    return np.random.Generator(np.random.PCG64(int.from_bytes(state.digest(), "big")))


def draws(sizes: Sequence[int], reps: int, generator: np.random.Generator) -> Iterator[Counts]:
    """counts [sum(sizes), chunk] in chunks that add up to `reps` resamples; each task's runs are drawn with replacement."""
    small = np.uint8 if max(sizes) <= np.iinfo(np.uint8).max else np.uint32
    for start in range(0, reps, CHUNK):
        width = min(CHUNK, reps - start)
        counts = np.zeros((sum(sizes), width), small)
        row = 0
        for size in sizes:
            drawn = generator.integers(0, size, (size, width), dtype=small)
            if size <= 48:  # comparing bytes is faster than scattering them while size² is small
                for run in range(size):
                    np.sum(drawn == small(run), axis=0, dtype=small, out=counts[row + run])
            else:
                flat = drawn.astype(np.int64) * width + np.arange(width)
                counts[row : row + size] = np.bincount(flat.ravel(), minlength=size * width).reshape(size, width)
            row += size
        yield counts


def iqm(values: Values, axis: int = 0) -> Values:
    """The interquartile mean: scipy.stats.trim_mean with a quarter cut at each end."""
    from scipy.stats import trim_mean

    return np.asarray(trim_mean(values, TRIM, axis=axis))


class TrimmedMean:
    """The interquartile mean of N pooled values under resampling counts (scipy.stats.trim_mean, 25%).

    With v sorted, c the running sum of counts clipped to [low, high], low = int(N / 4), high = N - low, the mean of
    the middle is sum_i (c[i] - c[i-1]) v[i] / (high - low). Summation by parts leaves one matrix product.
    """

    def __init__(self, values: Values) -> None:
        total = len(values)
        self.order = np.argsort(values, kind="stable")
        ordered = values[self.order]
        self.low = int(TRIM * total)
        self.high = total - self.low
        self.steps = np.diff(ordered)
        self.constant = self.high * ordered[-1] - self.low * ordered[0]
        # Rows where every step is 0 are never in the middle half, but keeping all rows is simple and fast enough.
        self.kind = next(kind for kind in (np.uint8, np.uint16, np.uint32) if total <= np.iinfo(kind).max)
        self.width = max(64, CACHED // total // 64 * 64)

    def __call__(self, counts: Counts) -> Values:
        """[chunk] trimmed means of counts [N, chunk]."""
        running = counts[self.order].astype(self.kind, copy=False)
        for row in range(1, len(running)):
            np.add(running[row - 1], running[row], out=running[row])
        np.clip(running, self.low, self.high, out=running)
        inner = np.empty(running.shape[1])
        for start in range(0, len(inner), self.width):
            part = slice(start, start + self.width)
            inner[part] = self.steps @ running[:-1, part].astype(np.float64)
        return (self.constant - inner) / (self.high - self.low)


def interval(samples: Values, confidence: float) -> tuple[Values, Values]:
    """Ends of the percentile interval along the last axis."""
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(samples, [tail, 1.0 - tail], axis=-1)
    return low, high
