"""What docs/results.md says of `dmc-small@1`, computed again from the shipped records without the project's bootstrap."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import numpy as np

from protocols.records.store import find_runs

ROOT = Path(__file__).parents[2]
RUNS = ROOT / "results" / "studies" / "dmc-small" / "runs"
SEEDS = 5
CELL = re.compile(r"(-?\d+) \((-?\d+) to (-?\d+)\)")


def programs() -> dict[tuple[str, str], list[float]]:
    """(agent, task) -> scores of its seeds, for complete programs."""
    found: dict[tuple[str, str], list[float]] = {}
    for run in find_runs(RUNS):
        key = run.manifest["agent"], run.manifest["task"].removeprefix("dmc_")
        found.setdefault(key, []).append(run.result()["score"])
    return {key: scores for key, scores in found.items() if len(scores) == SEEDS}


def printed(title: str) -> dict[tuple[str, str], str]:
    """(agent, task) -> cell of the table with this title in docs/results.md."""
    lines = (ROOT / "docs" / "results.md").read_text().splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith(f"| {title} | cartpole_balance"))
    tasks = [cell.strip() for cell in lines[begin].split("|")[2:-1]]
    found = {}
    for line in lines[begin + 2 :]:
        if not line.startswith("|"):
            break
        agent, *cells = (cell.strip() for cell in line.split("|")[1:-1])
        found.update({(agent, task): cell for task, cell in zip(tasks, cells, strict=True)})
    return found


def resampled_means(scores: list[float]) -> np.ndarray:
    """The mean of every one of the 5^5 equally likely resamples."""
    return np.array([np.mean(resample) for resample in product(scores, repeat=len(scores))])


def agrees(cell: str, point: float, means: np.ndarray) -> bool:
    """Whether a printed cell has this mean, and ends of this distribution that 50,000 drawn resamples can give.

    The standard error of a drawn 2.5% quantile's own rank is 0.0007; four of them on each side.
    """
    shown = [float(number) for number in CELL.fullmatch(cell).groups()]
    if abs(shown[0] - point) > 0.501:
        return False
    return all(
        least - 0.501 <= end <= most + 0.501
        for end, (least, most) in zip(shown[1:], np.quantile(means, [[0.0222, 0.0278], [0.9722, 0.9778]]), strict=True)
    )


def test_the_table_of_scores_has_every_complete_program_and_no_other():
    known, cells = programs(), printed("score")
    assert {key for key, cell in cells.items() if cell != "–"} == set(known)
    for key, scores in known.items():
        assert agrees(cells[key], float(np.mean(scores)), resampled_means(scores)), key


def test_the_table_of_differences_subtracts_each_agent_from_dreamer():
    known, cells = programs(), printed("Dreamer minus")
    assert {key for key, cell in cells.items() if cell != "–"} == {key for key in known if key[0] != "dreamer"}
    for (agent, task), cell in cells.items():
        if cell != "–":
            first, second = known["dreamer", task], known[agent, task]
            differences = np.subtract.outer(resampled_means(first), resampled_means(second)).ravel()
            assert agrees(cell, float(np.mean(first) - np.mean(second)), differences), (agent, task)
