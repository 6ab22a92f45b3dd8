"""A request to stop: the first Ctrl-C or SIGTERM, after which a checkpoint is written."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

STOPPING = b"\nStopping after the current update. Press Ctrl-C again to stop now.\n"


@dataclass(kw_only=True)
class Stop:
    """Whether a stop was requested, and by which signal."""

    signum: int | None = None
    _before: dict[int, Any] = field(default_factory=dict)

    def requested(self) -> bool:
        return self.signum is not None

    @contextmanager
    def listening(self) -> Iterator[Stop]:
        """Treats the first SIGTERM or Ctrl-C as a request; the second one acts as usual. Only in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        self._before = {number: signal.signal(number, self._hear) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield self
        finally:
            self._restore()

    def _hear(self, signum: int, frame: FrameType | None) -> None:
        self.signum = signum
        self._restore()
        with suppress(OSError):  # a closed terminal must not prevent the checkpoint
            os.write(2, STOPPING)  # not print, because the handler may have interrupted a print

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
