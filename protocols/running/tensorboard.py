"""TensorBoard event files beside the records. If the two differ, `metrics.jsonl` is right.

Needs the extra: pip install "dreamer-bench[tensorboard]". Uses tensorboard's own writer, without TensorFlow.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

from dreamer_bench_base import UserError
from protocols.running.job import Moment

FOLDER = "tensorboard"


class EventFiles:
    """One event file per run; every number of an evaluation's line becomes a scalar over env_steps."""

    def __init__(self, folders: Sequence[Path]) -> None:
        try:
            from tensorboard.compat.proto.event_pb2 import Event, SessionLog
            from tensorboard.compat.proto.summary_pb2 import Summary
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError:
            raise UserError(
                "--tensorboard needs the package tensorboard; install it: pip install 'dreamer-bench[tensorboard]'"
            ) from None
        self._event, self._start, self._summary = Event, SessionLog(status=SessionLog.START), Summary
        self._writers = [EventFileWriter(str(folder / FOLDER)) for folder in folders]
        self._begun = False

    def __call__(self, moment: Moment) -> None:
        for writer, line in zip(self._writers, moment.lines, strict=False):
            if not self._begun:  # TensorBoard then drops what a killed process wrote after this step
                writer.add_event(self._event(wall_time=time.time(), step=moment.env_steps, session_log=self._start))
            values = [
                self._summary.Value(tag=name, simple_value=float(value))
                for name, value in line.items()
                if isinstance(value, (int, float)) and math.isfinite(value)
            ]
            writer.add_event(self._event(wall_time=time.time(), step=moment.env_steps, summary=self._summary(value=values)))
            writer.flush()
        self._begun = self._begun or bool(moment.lines)

    def close(self) -> None:
        for writer in self._writers:
            writer.close()
