"""The tables of docs/results.md, computed again from the shipped records without the project's bootstrap and its t-interval."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from protocols.records.store import find_runs

ROOT = Path(__file__).parents[2]
PLACES = "leaderboard/*/runs", "studies/dmc-small/runs"
SEEDS = range(5)
FIRST_COLUMN = {"dmc-small@1": "cartpole_balance", "small@1": "Pendulum-v1"}
CELL = re.compile(r"(-?\d+) \((-?\d+) to (-?\d+)\)")
Cells = dict[tuple[str, str], str]


def programs(protocol: str) -> dict[tuple[str, str], list[float]]:
    """(agent, task) -> scores of seeds 0 to 4 in order, for complete programs."""
    found: dict[tuple[str, str], dict[int, float]] = {}
    for folder in (folder for place in PLACES for folder in (ROOT / "results").glob(place)):
        for run in find_runs(folder):
            manifest = run.manifest
            if manifest["protocol"] == protocol and manifest["seed"] in SEEDS:
                task = manifest["task"].removeprefix("dmc_").removeprefix("gym:")
                found.setdefault((manifest["agent"], task), {})[manifest["seed"]] = run.result()["score"]
    return {key: [scores[seed] for seed in SEEDS] for key, scores in found.items() if len(scores) == len(SEEDS)}


def printed(protocol: str, title: str) -> Cells:
    """(agent, column) -> cell of the protocol's table with this title in docs/results.md."""
    lines = (ROOT / "docs" / "results.md").read_text().splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith(f"| {title} | {FIRST_COLUMN[protocol]} "))
    columns = [cell.strip() for cell in lines[begin].split("|")[2:-1]]
    found = {}
    for line in lines[begin + 2 :]:
        if not line.startswith("|"):
            break
        agent, *cells = (cell.strip() for cell in line.split("|")[1:-1])
        found.update({(agent, column): cell for column, cell in zip(columns, cells, strict=True)})
    return found


def numbers(cell: str) -> list[float]:
    return [float(number) for number in CELL.fullmatch(cell).groups()]


def of_tasks(known: dict[tuple[str, str], list[float]], agent: str, column: str) -> list[list[float]]:
    """The scores behind a cell: of one task, or of each task for "mean of all". Empty if a task is missing."""
    tasks = sorted({task for _, task in known}) if column == "mean of all" else [column]
    return [known[agent, task] for task in tasks] if all((agent, task) in known for task in tasks) else []


def resampled_means(scores: list[float]) -> np.ndarray:
    """The mean of every one of the 5^5 equally likely resamples."""
    return np.array([np.mean(resample) for resample in product(scores, repeat=len(scores))])


def ends_are_those_of(means: np.ndarray, ends: list[float], slack: float) -> bool:
    """Whether the ends of an interval are quantiles of these means that 50,000 drawn resamples can give.

    The standard error of a drawn 2.5% quantile's rank is 0.0007; four of them are allowed, and `slack` points.
    """
    quantiles = np.quantile(means, [[0.0222, 0.0278], [0.9722, 0.9778]])
    return all(least - slack <= end <= most + slack for end, (least, most) in zip(ends, quantiles, strict=True))


def test_a_score_of_dmc_small_has_its_mean_and_the_ends_of_every_resample():
    """Of one task all resamples are counted; of all tasks 400,000 are drawn."""
    known, generator = programs("dmc-small@1"), np.random.default_rng(0)
    cells = printed("dmc-small@1", "score")
    for (agent, column), cell in cells.items():
        tasks = of_tasks(known, agent, column)
        assert bool(tasks) == (cell != "–"), (agent, column)
        if not tasks:
            continue
        point, *ends = numbers(cell)
        assert abs(point - np.mean(tasks)) < 0.501, (agent, column)
        each = [resampled_means(scores) for scores in tasks]
        means = each[0] if len(each) == 1 else np.mean([generator.choice(one, 400_000) for one in each], axis=0)
        assert ends_are_those_of(means, ends, 0.501 if len(each) == 1 else 1.5), (agent, column)
    assert {key for key, cell in cells.items() if cell != "–" and key[1] != "mean of all"} == set(known)


def test_a_row_of_small_has_its_seeds_their_mean_and_the_ends_of_every_resample():
    known, seen = programs("small@1"), set()
    text = (ROOT / "docs" / "results.md").read_text()
    for task, table in re.findall(r"^\| (\S+) \| n \| score .*\n\|[-|]+\n((?:\|.*\n)+)", text, flags=re.MULTILINE):
        for line in table.splitlines():
            agent, n, score, interval, seeds, _ = (cell.strip() for cell in line.split("|")[1:-1])
            scores = known[agent, task]
            assert (int(n), seeds) == (len(scores), ", ".join(f"{each:.0f}" for each in scores)), (agent, task)
            assert float(score) == pytest.approx(np.mean(scores), abs=0.0501), (agent, task)
            ends = [float(end) for end in interval.split(" to ")]
            assert ends_are_those_of(resampled_means(scores), ends, 0.0501), (agent, task)
            seen.add((agent, task))
    assert seen == set(known)


@pytest.mark.parametrize("protocol", FIRST_COLUMN)
def test_a_difference_is_that_of_means_with_welchs_interval(protocol):
    """One task by SciPy. The mean of all tasks by hand: variances of means add up, with Satterthwaite's degrees of freedom."""
    known = programs(protocol)
    for (agent, column), cell in printed(protocol, "Dreamer minus").items():
        ours, theirs = of_tasks(known, "dreamer", column), of_tasks(known, agent, column)
        assert bool(ours and theirs) == (cell != "–"), (agent, column)
        if not (ours and theirs):
            continue
        difference = np.mean(ours) - np.mean(theirs)
        if len(ours) == 1:
            low, high = stats.ttest_ind(ours[0], theirs[0], equal_var=False).confidence_interval(0.95)
        else:
            parts = np.array([np.var(scores, ddof=1) / len(scores) for scores in ours + theirs]) / len(ours) ** 2
            freedom = parts.sum() ** 2 / (parts**2 / (len(SEEDS) - 1)).sum()
            half = stats.t.ppf(0.975, freedom) * np.sqrt(parts.sum())
            low, high = difference - half, difference + half
        assert numbers(cell) == pytest.approx([difference, low, high], abs=0.501), (agent, column)
