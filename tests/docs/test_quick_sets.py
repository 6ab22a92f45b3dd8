"""What README says to expect of `make quick`, computed again from the shipped records without the project's bootstrap."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import numpy as np
from scipy import stats

from protocols.records.store import find_runs

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results.md"
RUNS = ROOT / "results" / "studies" / "quick-2" / "runs"
TASK = "dmc_cartpole_swingup"
AGENTS = ("dreamer", "no_value", "planet", "sac")


def scores() -> dict[tuple[str, int], float]:
    return {
        (run.manifest["agent"], run.manifest["seed"]): run.result()["score"]
        for run in find_runs(RUNS)
        if run.manifest["task"] == TASK
    }


def lowest(first: list[float], second: list[float]) -> float:
    """The 2.5% quantile of the difference of means over every one of the 27 x 27 equally likely resamples."""
    means = [[np.mean(resample) for resample in product(values, repeat=len(values))] for values in (first, second)]
    return float(np.quantile(np.subtract.outer(*means), 0.025))


def starts(known: dict[tuple[str, int], float], agent: str) -> list[int]:
    """First seeds of the sets of three in which the agent and random actions both ran."""
    every = range(200, 230, 3)
    return [start for start in every if all((name, start + 2) in known for name in (agent, "random"))]


def test_every_agent_beats_random_actions_in_at_least_four_of_five_sets_of_three_seeds():
    known = scores()
    for agent in AGENTS:
        sets = [
            [[known[name, seed] for seed in range(start, start + 3)] for name in (agent, "random")]
            for start in starts(known, agent)
        ]
        assert len(sets) == 10, agent
        assert sum(lowest(*each) > 0 for each in sets) >= 0.8 * len(sets), agent


def test_the_readme_gives_the_range_of_the_means_of_these_sets():
    known = scores()
    readme = (ROOT / "README.md").read_text()
    for agent in (*AGENTS, "random"):
        means = [np.mean([known[agent, seed] for seed in range(start, start + 3)]) for start in starts(known, agent)]
        assert f"| {agent} | {min(means):.0f} to {max(means):.0f} |" in readme, agent


def test_the_counts_of_sets_by_welchs_interval_are_those_of_the_formula():
    """By hand: two variances of means add up, with Satterthwaite's degrees of freedom."""
    known = scores()
    for agent in AGENTS:
        above = 0
        for start in starts(known, agent):
            both = [[known[name, seed] for seed in range(start, start + 3)] for name in (agent, "random")]
            parts = np.array([np.var(each, ddof=1) / 3 for each in both])
            freedom = parts.sum() ** 2 / (parts**2 / 2).sum()
            above += np.mean(both[0]) - np.mean(both[1]) > stats.t.ppf(0.975, freedom) * np.sqrt(parts.sum())
        row = re.search(rf"^\| {agent} \| (\d+) \| \d+ \| (\d+) \| \d+ to ", RESULTS.read_text(), flags=re.MULTILINE)
        assert row is not None, agent
        assert (int(row[1]), int(row[2])) == (len(starts(known, agent)), above), agent
