"""What `verify` says of mutated code and of unchanged code on other seeds, from a score file that `study.write_scores` made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binomtest

from analysis.scores import per_run, table
from analysis.verify import judge, validity
from analysis.verify.reference import Reference
from analysis.verify.verdict import Mode, Question, Verdict
from protocols import catalog
from protocols.spec import Protocol
from tests.mutants.mutations import MUTATIONS, UNCHANGED

if TYPE_CHECKING:
    import pandas as pd

REFERENCE_SEEDS = 10
"""Of the unchanged code, the last ones, which no mutated run has; its other seeds are for false alarms."""
COHORT = 5


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How the gate asks, of each task apart; the defaults are those of examples/ci/verify-small.sh."""

    protocol: str = "small@1"
    mode: Mode = "equivalent"
    margin: float = 0.05
    allow_better: bool = True

    @property
    def known(self) -> Protocol:
        return catalog.find(self.protocol)


def alarms(verdict: Verdict) -> bool:
    """Whether the gate fails: `verify --inconclusive pass` leaves by another exit code than 0."""
    return verdict.status != "inconclusive" and verdict.exit_code != 0


def read(path: Path) -> pd.DataFrame:
    return table.read([path])


def seeds_of(points: pd.DataFrame, method: str, tasks: Sequence[str]) -> list[str]:
    """The seeds that a method has on every one of the tasks, in numerical order."""
    rows = points[points["method"] == method]
    have = [set(rows.loc[rows["task"] == task, "seed"]) for task in tasks]
    return sorted(set.intersection(*have), key=int)


def chosen(points: pd.DataFrame, method: str, tasks: Sequence[str], seeds: Sequence[str]) -> pd.DataFrame:
    return points[(points["method"] == method) & points["task"].isin(tasks) & points["seed"].isin(seeds)]


def scored(rows: pd.DataFrame, rule: Rule, at: int) -> pd.DataFrame:
    """One score per run: by the protocol's rule at its budget, by the evaluation there at a smaller one."""
    own = rule.known.score_rule if at == rule.known.env_steps else None
    return per_run.select(rows, rule=own, at=at).scores


def ask(ours: pd.DataFrame, theirs: pd.DataFrame, rule: Rule, at: int, causes: Sequence[str] = ()) -> Verdict:
    """The verdict on scores of one method against scores of another."""
    protocol = rule.known
    margin, source = judge.margin_of(protocol.normalization, protocol, rule.margin)
    question = Question(
        method=str(ours["method"].iloc[0]),
        mode=rule.mode,
        normalization=protocol.normalization,
        margin=margin,
        margin_source=source,
        protocol=protocol.id,
        allow_better=rule.allow_better,
    )
    reference = Reference(
        name="unchanged",
        title="the unchanged code",
        source="",
        licence="",
        kind="raw",
        seeds=int(theirs.groupby("task").size().min()),
        budget_env_steps=at,
        window_env_steps=None,
        evaluation="",
        scores=theirs,
    )
    return judge.judge(ours, reference, question, budget_env_steps=at, causes=causes)


def of_mutations(points: pd.DataFrame, task: str, rule: Rule, budgets: Sequence[int]) -> Iterator[tuple[str, int, Verdict]]:
    """(mutation, budget, verdict) of every mutation that ran on the task."""
    reference = seeds_of(points, UNCHANGED.name, [task])[-REFERENCE_SEEDS:]
    theirs = chosen(points, UNCHANGED.name, [task], reference)
    for mutation in MUTATIONS:
        seeds = seeds_of(points, mutation.name, [task])[:COHORT]
        if not seeds:
            continue
        rows = chosen(points, mutation.name, [task], seeds)
        for at in budgets:
            upto = rows[rows["env_steps"] <= at]
            yield mutation.name, at, ask(scored(rows, rule, at), scored(theirs, rule, at), rule, at, validity.copies(upto))


@dataclass(frozen=True, kw_only=True)
class Alarms:
    """How often unchanged code fails the gate.

    apart      cohorts that share no seed, and how many of them fail
    resampled  cohorts drawn from the same seeds again and again, which share seeds with each other, and how many of them fail
    """

    seeds: int
    apart: tuple[int, int]
    resampled: tuple[int, int]
    inconclusive: int

    def interval(self, counted: tuple[int, int]) -> tuple[float, float]:
        """The exact 95% binomial interval (Clopper and Pearson); of resampled cohorts it holds for these seeds alone."""
        found = binomtest(counted[1], counted[0]).proportion_ci(0.95, method="exact")
        return float(found.low), float(found.high)


def of_unchanged(points: pd.DataFrame, tasks: Sequence[str], rule: Rule, at: int, cohorts: int, seed: int = 0) -> Alarms:
    """Cohorts of five of the unchanged code's seeds that are not in the reference, against the reference.

    Every task is judged apart, as the gate does: one alarm is enough.
    """
    seeds = seeds_of(points, UNCHANGED.name, tasks)
    scores = scored(chosen(points, UNCHANGED.name, tasks, seeds), rule, at)
    fresh, reference = seeds[:-REFERENCE_SEEDS], seeds[-REFERENCE_SEEDS:]
    generator = np.random.default_rng(seed)
    whole = [fresh[i : i + COHORT] for i in range(0, len(fresh) - COHORT + 1, COHORT)]
    drawn = [list(generator.choice(fresh, COHORT, replace=False)) for _ in range(cohorts)]

    def verdicts(group: Sequence[str]) -> list[Verdict]:
        found = []
        for task in tasks:
            rows = scores[scores["task"] == task]
            found.append(ask(rows[rows["seed"].isin(group)], rows[rows["seed"].isin(reference)], rule, at))
        return found

    apart, resampled = [verdicts(group) for group in whole], [verdicts(group) for group in drawn]
    return Alarms(
        seeds=len(fresh),
        apart=(len(apart), sum(any(map(alarms, each)) for each in apart)),
        resampled=(len(resampled), sum(any(map(alarms, each)) for each in resampled)),
        inconclusive=sum(any(verdict.status == "inconclusive" for verdict in each) for each in resampled),
    )
