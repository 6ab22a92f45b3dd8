"""The part of docs/verifying.md that is written by the study: `python -m tests.mutants page`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dreamer_bench_files import write_atomically
from tests.mutants import study, tables, verdicts
from tests.mutants.mutations import CARTPOLE, MUTATIONS, PENDULUM, UNCHANGED
from tests.mutants.tree import ROOT

if TYPE_CHECKING:
    import pandas as pd

SCORES, CAUGHT = ROOT / "tests/mutants/scores.csv.gz", ROOT / "tests/mutants/caught.json"
PAGE = ROOT / "docs/verifying.md"
BEGIN, END = "<!-- written by python -m tests.mutants page -->\n", "<!-- end -->\n"
BUDGETS = (2_000, 4_000, 6_000, 8_000)
COHORTS = 100
NOT_RUN = "not run"


def block() -> str:
    """The tables from the shipped scores, and from what `caught` found."""
    points = verdicts.read(SCORES) if SCORES.exists() else None
    found = {row["mutation"]: row for row in json.loads(CAUGHT.read_text())}
    lines = ["| bug | task | gate at 8,000 env_steps | fails from | other test that fails first |", "|---|---|---|---|---|"]
    for mutation in MUTATIONS:
        row = found.get(mutation.name)
        first = NOT_RUN if row is None else f"`{_short(row['caught_by'])}`" if row["caught_by"] else "none"
        for task in mutation.tasks:
            verdict, seen = _gate(points, mutation.name, task)
            shown = task.removeprefix("gym:").partition("-")[0]
            lines.append(f"| {mutation.says} | {shown} | {verdict} | {seen} | {first} |")
    return "\n".join([*lines, "", *_made_with(), *_false_alarms(points), ""])


def write() -> None:
    """Writes the tables into the page, between their marks."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    write_atomically(PAGE, (before + BEGIN + block() + END + after).encode())


def _made_with() -> list[str]:
    path = study.made_with(SCORES)
    if not path.exists():
        return []
    made = json.loads(path.read_text())
    return [
        f"{made['agent']} under `{made['protocol']}`, commit {made['commit'][:7]}, {made['cpu']}; differences in units of the "
        "range, with their 90% intervals.",
        "",
    ]


def _short(test: str) -> str:
    """A test's id without its folders and parameters."""
    return test.partition("[")[0].rpartition("/")[2]


def _gate(points: pd.DataFrame | None, name: str, task: str) -> tuple[str, str]:
    """The verdict at the whole budget, and the smallest budget from which on it fails."""
    if points is None or not verdicts.seeds_of(points, name, [task]) or not verdicts.seeds_of(points, UNCHANGED.name, [task]):
        return NOT_RUN, NOT_RUN
    asked = [(at, v) for n, at, v in verdicts.of_mutations(points, task, verdicts.Rule(), BUDGETS) if n == name]
    return tables.words(asked[-1][1]), tables.smallest(asked)


def _false_alarms(points: pd.DataFrame | None) -> list[str]:
    rows = []
    for tasks in ([PENDULUM], [CARTPOLE], [PENDULUM, CARTPOLE]):
        have = [] if points is None else verdicts.seeds_of(points, UNCHANGED.name, tasks)
        if points is None or len(have) < verdicts.REFERENCE_SEEDS + verdicts.COHORT:
            continue
        found = verdicts.of_unchanged(points, tasks, verdicts.Rule(), BUDGETS[-1], COHORTS)
        low, high = found.interval(found.apart)
        shown = " and ".join(task.removeprefix("gym:").partition("-")[0] for task in tasks)
        rows.append(
            f"| {shown} | {found.seeds} | {found.apart[1]} of {found.apart[0]}, {low:.2f} to {high:.2f} | "
            f"{found.resampled[1]} of {found.resampled[0]} | {found.inconclusive} of {found.resampled[0]} |"
        )
    if not rows:
        return ["False alarms of the unchanged code on other seeds: not run."]
    return [
        "| unchanged code on | seeds | alarms of cohorts without a common seed, 95% interval | alarms of resampled cohorts | "
        "inconclusive |",
        "|---|---|---|---|---|",
        *rows,
    ]
