"""The record files of a cohort that the loop writes: a line per evaluation episode, a line per evaluation, and the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from protocols.records import chain, checkpoint
from protocols.records.line_log import LineLog
from protocols.records.store import EPISODES, MANIFEST, METRICS, SESSIONS, Run, write_result
from protocols.running.evaluate import Episode


class CohortRecords:
    """The files of all runs of a cohort; `s` is the number of a seed in the cohort.

    vouched_bytes  bytes of each seed's files that the checkpoint confirms; None without a checkpoint
    tasks          tasks that are played in turn and named in every episode's line; () for a run on one task
    """

    def __init__(
        self, runs: Sequence[Run], vouched_bytes: Sequence[Mapping[str, int]] | None, tasks: Sequence[str] = ()
    ) -> None:
        self.runs, self.tasks = runs, tasks
        vouched = vouched_bytes or [{EPISODES: 0, METRICS: 0}] * len(runs)
        self.episode_logs, self.metric_logs = (
            [
                LineLog(
                    run.folder / name,
                    known[name],
                    chain.origin(run.manifest) if name == EPISODES and run.schema >= 2 else None,
                )
                for run, known in zip(runs, vouched, strict=True)
            ]
            for name in (EPISODES, METRICS)
        )
        self.found = [{name: checkpoint.recorded(run.folder / name) for name in (MANIFEST, SESSIONS)} for run in runs]

    def write_episodes(self, s: int, played: Sequence[Episode], counted: Mapping[str, int], index: int, *, final: bool) -> None:
        self.episode_logs[s].write(
            [
                {
                    **counted,
                    "checkpoint": index,
                    "episode": number,
                    **({"task": self.tasks[number % len(self.tasks)]} if self.tasks else {}),
                    "env_seed": episode.env_seed,
                    "score": episode.score,
                    "length": episode.length,
                    "seconds": round(episode.seconds, 3),
                    "final": final,
                }
                for number, episode in enumerate(played)
            ]
        )

    def write_metrics(self, s: int, line: Mapping[str, Any]) -> None:
        self.metric_logs[s].write([line])

    def write_result(
        self, s: int, status: Literal["complete", "diverged"], counted: Mapping[str, int], *, seconds: float
    ) -> None:
        """Writes the last file of a run. Raises UserError if its records are not those that were written."""
        run = self.runs[s]
        checkpoint.check_records(run.folder, self.recorded(s))
        write_result(
            run,
            status=status,
            checkpoint=checkpoint.newest_seal(run.folder) if status == "complete" else None,
            **counted,
            wall_seconds=round(seconds, 3),
            device_seconds=round(seconds / len(self.runs), 3),
        )

    def recorded(self, s: int) -> dict[str, checkpoint.Recorded]:
        """Length and hash of one seed's records that this process wrote, or found at its start."""
        episodes, metrics = self.episode_logs[s], self.metric_logs[s]
        return {
            **self.found[s],
            EPISODES: {"bytes": episodes.bytes, "sha256": episodes.sha256},
            METRICS: {"bytes": metrics.bytes, "sha256": metrics.sha256},
        }

    def written_bytes(self, s: int) -> dict[str, int]:
        return {EPISODES: self.episode_logs[s].bytes, METRICS: self.metric_logs[s].bytes}
