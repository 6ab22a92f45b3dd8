"""`last_evaluation.webp` in a run's folder: the first episode of its last evaluation, as the agent sees it. For people."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dreamer_bench_files import write_atomically
from protocols.records.store import VIDEO
from protocols.running.job import Moment

MAX_FRAMES = 500
FRAME_MILLISECONDS = 40
WORTH = 50
"""A film is made after training for this many times as long as the last film took (so films take at most 2% of the time)."""


class Film:
    """Keeps the film of every run of a cohort up to date. The evaluation at the end of the budget is always filmed."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = folders
        self.next_seconds = 0.0

    def __call__(self, moment: Moment) -> None:
        if not any(len(frames) for frames in moment.films):
            return
        if not moment.is_last_evaluation and time.monotonic() < self.next_seconds:
            return
        started = time.monotonic()
        for folder, frames in zip(self.folders, moment.films, strict=True):
            if len(frames):
                write_atomically(folder / VIDEO, animation(frames))
        ended = time.monotonic()
        self.next_seconds = ended + WORTH * (ended - started)


def animation(frames: Sequence[np.ndarray], kind: Literal["WEBP", "GIF"] = "WEBP") -> bytes:
    """An animation of uint8 images [height, width, 1 or 3 or more]; a long episode is shortened to every n-th frame."""
    from PIL import Image

    every = -(-len(frames) // MAX_FRAMES)
    images = [
        Image.fromarray(np.repeat(frame[..., :1], 3, -1) if frame.shape[-1] < 3 else frame[..., :3])
        for frame in frames[::every]
    ]
    target = io.BytesIO()
    settings: dict[str, Any] = {"quality": 80, "method": 0} if kind == "WEBP" else {}
    images[0].save(target, kind, save_all=True, append_images=images[1:], duration=FRAME_MILLISECONDS, loop=0, **settings)
    return target.getvalue()
