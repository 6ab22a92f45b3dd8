"""A run for several checks: each of its files is read and parsed once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from protocols.records.schema import EpisodeLine, MetricsLine, Result, SessionLine
from protocols.records.store import Run


@dataclass(frozen=True)
class ReadOnce(Run):
    """The content of the files at their first read. Do not keep it longer than needed: the lines of a long run take 2 MB."""

    def episodes(self) -> list[EpisodeLine]:
        return self._episodes

    def metrics(self) -> list[MetricsLine]:
        return self._metrics

    def sessions(self) -> list[SessionLine]:
        return self._sessions

    def result(self) -> Result | None:
        return self._result

    @cached_property
    def _episodes(self) -> list[EpisodeLine]:
        return super().episodes()

    @cached_property
    def _metrics(self) -> list[MetricsLine]:
        return super().metrics()

    @cached_property
    def _sessions(self) -> list[SessionLine]:
        return super().sessions()

    @cached_property
    def _result(self) -> Result | None:
        return super().result()
