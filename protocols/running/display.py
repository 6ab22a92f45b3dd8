"""The progress display during runs, and the table at the end.

A terminal gets a live display. A log file gets a line for each evaluation, and between evaluations a line every ten seconds.
"""

from __future__ import annotations

import contextlib
import math
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Table
from rich.text import Text

from protocols.records.schema import Result
from protocols.running.grid import WantedRun
from protocols.running.job import Moment
from protocols.running.terminal import duration

WIDE = 120
"""A terminal with at least this many columns shows a progress bar."""
QUIET_SECONDS = 8.0
"""Outside a terminal, a running program gets a line after this time without one. We look ten times in that span, so that on an
idle machine no more than nine seconds pass between two lines."""
KEPT_ROWS = 20
"""Most programs that a terminal shows at once; the oldest are removed."""


class Display:
    """Progress of the cohorts, one line each."""

    def __init__(self, console: Console, titles: Sequence[str]) -> None:
        self.console = console
        self.titles = list(titles)
        self.live = console.is_terminal
        self.wide = console.width >= WIDE
        bar = (BarColumn(bar_width=24),) if self.wide else ()
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            *bar,
            TextColumn("{task.percentage:>3.0f}%"),
            _Standing(),
            console=console,
            refresh_per_second=4,
        )
        self._rows = [
            self._progress.add_task(title, total=1.0, start=False, visible=index == 0, words="starting")
            for index, title in enumerate(self.titles)
        ]
        self._under_way: dict[int, _UnderWay] = {}
        self._heard: set[int] = set()
        self._ended_last: str | None = None
        self._last_line = time.monotonic()
        self._ended = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Display:
        if self.live:
            self._progress.start()
        else:
            self._ticker.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.live:
            with contextlib.suppress(OSError):
                self._progress.stop()
        else:
            self._ended.set()
            self._ticker.join()

    def _tick(self) -> None:
        """Prints the progress of running programs without a recent line, because a long series of updates reports nothing."""
        while not self._ended.wait(QUIET_SECONDS / 10):
            now = time.monotonic()
            if not self._under_way and now - self._last_line >= QUIET_SECONDS:
                self.say(self._between())
            for index, row in sorted(self._under_way.items()):
                if now - row.said >= QUIET_SECONDS:
                    row.said = now
                    self.say(f"{self.titles[index]}: {row.words}, {now - row.heard:.0f} s ago")

    def _between(self) -> str:
        """A line for when no program is between its first evaluation and its budget, because both ends can take minutes."""
        coming = next((title for index, title in enumerate(self.titles) if index not in self._heard), None)
        if self._ended_last is None:
            return f"{coming}: starting"
        return f"{self._ended_last}: final evaluation" + (f", or {coming}: starting" if coming else "")

    def watcher(self, index: int) -> Callable[[Moment], None]:
        """The function that `run_cohort` calls with the progress of cohort number `index`."""

        def watch(moment: Moment) -> None:
            self._heard.add(index)
            words = standing(moment, short=self.live and not self.wide)
            if self.live:
                if index >= KEPT_ROWS:
                    self._progress.update(self._rows[index - KEPT_ROWS], visible=False)
                self._progress.start_task(self._rows[index])
                self._progress.update(
                    self._rows[index],
                    completed=moment.env_steps / moment.budget_env_steps,
                    visible=True,
                    words=words,
                    heard=math.inf if moment.env_steps >= moment.budget_env_steps else time.monotonic(),
                )
                return
            words = f"{100 * moment.env_steps / moment.budget_env_steps:.0f}% {words}"
            row, now = self._under_way.setdefault(index, _UnderWay()), time.monotonic()
            row.words, row.heard = words, now
            if moment.lines or now - row.said >= QUIET_SECONDS:
                row.said = now
                self.say(f"{self.titles[index]}: {words}")
            if moment.env_steps >= moment.budget_env_steps:
                self._under_way.pop(index, None)
                self._ended_last = self.titles[index]

        return watch

    def say(self, line: str) -> None:
        self._last_line = time.monotonic()
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


class _UnderWay:
    """A program's last known progress in words, the time of that report, and the time of its last printed line."""

    def __init__(self) -> None:
        self.words = "starting"
        self.heard = self.said = time.monotonic()


class _Standing(ProgressColumn):
    def render(self, task: Task) -> Text:
        """The words, with their age if they are old, because a long series of updates reports nothing."""
        quiet = time.monotonic() - task.fields.get("heard", math.inf)
        return Text(str(task.fields["words"]) + (f", {quiet:.0f} s ago" if quiet >= QUIET_SECONDS else ""))


def standing(moment: Moment, *, short: bool = False) -> str:
    """One line: env_steps (unless short), env_steps per second, last score, time left."""
    scores = [score for score in moment.scores if score is not None]
    words = [f"{moment.env_steps_per_second:,.0f}/s"]
    if not short:
        words.insert(0, f"{moment.env_steps:,} env_steps")
    if scores:
        words.append(f"score {statistics.fmean(scores):.1f}")
    if moment.seconds_left is not None:
        words.append(f"{duration(moment.seconds_left)} left" if moment.env_steps < moment.budget_env_steps else "finishing")
    return ", ".join(words)


def results_table(runs: Sequence[WantedRun]) -> Table:
    """A row per (agent, task): seeds that count, mean score, score of each seed, time."""
    table = Table("agent", "task", "n", "score", "by seed", "time", box=None, pad_edge=False, title_justify="left")
    for label, task in dict.fromkeys((run.spec.label, run.spec.task) for run in runs):
        own = [run for run in runs if (run.spec.label, run.spec.task) == (label, task)]
        results = [(run, run.record.result() if run.state in ("done", "diverged") else None) for run in own]
        scores = [result["score"] for _, result in results if result and result["score"] is not None]
        by_seed = ", ".join(f"{run.spec.seed}: {_word(run, result)}" for run, result in results)
        seconds = sum(result["device_seconds"] for _, result in results if result)
        mean = f"{statistics.fmean(scores):.1f}" if scores else "-"
        table.add_row(Text(label), Text(task), str(len(scores)), mean, by_seed, duration(seconds))
    return table


def _word(run: WantedRun, result: Result | None) -> str:
    if result is None:
        return run.state
    if result["status"] == "diverged":
        return "diverged" if result["score"] is None else f"diverged, counts as {result['score']:.1f}"
    return f"{result['score']:.1f}"
