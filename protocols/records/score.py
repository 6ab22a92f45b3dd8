"""The score of a run: which runs count, which points of a run count, and the rule in words. It is defined only here.

`store` writes the score with it, `validate` checks it, and the page about protocols and all of `analysis` use it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from dreamer_bench_base import UserError
from protocols.records.schema import EpisodeLine, Manifest, Result
from protocols.spec import ScoreRule

REASONS = {
    "limited": "its budget was cut with --limit",
    "diverged": "its loss was not finite: a result, counted here and left out of the means",
    "unfinished": "it has no result yet",
}
"""Reason of `counts` -> why such a run does not count."""

MOST_ALIKE = 0.9
FEWEST_VALUES = 4
"""Two records are copies if at least this share of their scores is equal and these scores have at least this many values. A
policy that always loses 21 to 0 does so under every seed, and one slightly changed score does not make another run."""


class Run(Protocol):
    """The part of `store.Run` that is needed here."""

    @property
    def manifest(self) -> Manifest: ...

    @property
    def budget_env_steps(self) -> int: ...

    def result(self) -> Result | None: ...


def counts(run: Run) -> str | None:
    """Why a run does not count in the means of its protocol, a key of REASONS; None if it counts."""
    if run.manifest["limit_env_steps"] is not None:
        return "limited"
    result = run.result()
    if result is None:
        return "unfinished"
    if result["status"] == "diverged" and not counts_as_untrained(run.manifest["protocol_data"]):
        return "diverged"
    return None


def counts_as_untrained(protocol: Mapping[str, Any]) -> bool:
    """Whether a diverged run of this protocol (`protocol_data`) counts with the score of its first evaluation."""
    return protocol.get("diverged", "absent") == "untrained"


def eligible(
    rule: ScoreRule | Mapping[str, Any],
    env_steps: Sequence[int] | np.ndarray,
    final: Sequence[bool] | np.ndarray,
    end_env_steps: int | np.ndarray,
) -> np.ndarray:
    """Mask of the points that a rule may use, for points of any run. `end_env_steps` is the budget, or one number per point.

    window  regular points with end - window < env_steps <= end
    last    regular points at or before the end, of which the last evaluation counts
    final   the points of the separate final evaluation
    """
    kind, window = _parts(rule)
    steps, is_final = np.asarray(env_steps), np.asarray(final, bool)
    within = steps <= end_env_steps
    if kind == "final":
        return within & is_final
    regular = within & ~is_final
    if kind == "last":
        return regular
    if kind != "window":
        raise UserError(f"score rule {kind!r} is not known; expected window, last or final")
    return regular & (steps > end_env_steps - window)


def counted(
    rule: ScoreRule | Mapping[str, Any],
    env_steps: Sequence[int] | np.ndarray,
    final: Sequence[bool] | np.ndarray,
    checkpoint: Sequence[int] | np.ndarray,
    budget_env_steps: int,
) -> np.ndarray:
    """Mask of the points of one run that make its score. With "last" these are the points of the newest evaluation."""
    mask, number = eligible(rule, env_steps, final, budget_env_steps), np.asarray(checkpoint)
    if _parts(rule)[0] == "last" and mask.any():
        mask &= number == number[mask].max()
    return mask


def _parts(rule: ScoreRule | Mapping[str, Any]) -> tuple[str, int]:
    """Kind and window of a rule, or of a rule in a record."""
    rule = rule if isinstance(rule, ScoreRule) else rule_of(rule)
    return rule.kind, rule.window_env_steps


def rule_of(data: Mapping[str, Any]) -> ScoreRule:
    """The rule in a record (`protocol_data["score_rule"]`), of whose fields no others are used."""
    return ScoreRule(kind=data["kind"], window_env_steps=data.get("window_env_steps", 0))


def in_words(rule: ScoreRule | Mapping[str, Any], budget_env_steps: int | None = None) -> str:
    """The rule for captions and pages: "mean of the last 100,000 env steps before 5,000,000"."""
    kind, window = _parts(rule)
    end = "the budget" if budget_env_steps is None else f"{budget_env_steps:,}"
    unit = "" if budget_env_steps is None else " env steps"
    return {
        "window": f"mean of the last {window:,} env steps before {end}",
        "last": f"last evaluation at or before {end}{unit}",
        "final": f"separate final evaluation at {end}{unit}",
    }[kind]


def score_of(rule: Mapping[str, Any], episodes: Iterable[Mapping[str, Any]], budget_env_steps: int) -> float | None:
    """The score of one run: the mean return of the episodes that the protocol's score rule selects; None if one of them was not
    finite.

    rule  `protocol_data["score_rule"]` of a manifest, or `asdict(protocol.score_rule)`
    Raises UserError if no episode counts.
    """
    lines = list(episodes)
    mask = counted(
        rule,
        [line["env_steps"] for line in lines],
        [line["final"] for line in lines],
        [line["checkpoint"] for line in lines],
        budget_env_steps,
    )
    scores = [line["score"] for line, counts_here in zip(lines, mask, strict=True) if counts_here]
    if not scores:
        raise UserError(
            f"score rule {rule['kind']!r} names no episode of this run; it has {len(lines)} up to {budget_env_steps} env_steps"
        )
    return _mean(scores)


def task_scores(
    rule: Mapping[str, Any], episodes: Iterable[Mapping[str, Any]], budget_env_steps: int
) -> dict[str, float | None]:
    """`score_of` for each task of a run on joined tasks, in the order of play."""
    apart: dict[str, list[Mapping[str, Any]]] = {}
    for line in episodes:
        apart.setdefault(line["task"], []).append(line)
    return {task: score_of(rule, lines, budget_env_steps) for task, lines in apart.items()}


def untrained_score(episodes: Iterable[Mapping[str, Any]]) -> float | None:
    """The mean return of a run's first evaluation, before any training; None if a return was not finite."""
    scores = [line["score"] for line in episodes if line["env_steps"] == 0 and not line["final"]]
    if not scores:
        raise UserError("the run has no evaluation at 0 env_steps, so it has no score of an untrained agent")
    return _mean(scores)


def _mean(scores: Sequence[float | None]) -> float | None:
    known = [score for score in scores if score is not None]
    return math.fsum(known) / len(known) if len(known) == len(scores) else None


def result_score(
    protocol: Mapping[str, Any], status: str, episodes: Sequence[Mapping[str, Any]], budget_env_steps: int
) -> float | None:
    """The value of `score` in result.json; None for a diverged run that does not count, or if a return that counts was not
    finite."""
    if status == "diverged":
        return untrained_score(episodes) if counts_as_untrained(protocol) else None
    return score_of(protocol["score_rule"], episodes, budget_env_steps)


def points(run: Run, episodes: list[EpisodeLine]) -> list[EpisodeLine]:
    """The evaluation lines of a run for readers. For a diverged run that counts as an untrained agent, the first evaluation is
    repeated at the budget, in place of the points that its score rule would select."""
    result, data = run.result(), run.manifest["protocol_data"]
    if result is None or result["status"] != "diverged" or not counts_as_untrained(data):
        return episodes
    rule, budget = data["score_rule"], run.budget_env_steps
    begin = budget - _parts(rule)[1] if rule["kind"] == "window" else budget
    last = max((line["checkpoint"] for line in episodes), default=0) + 1
    again: list[EpisodeLine] = [
        {**line, "env_steps": budget, "checkpoint": last, "final": final}
        for line in episodes
        if line["env_steps"] == 0 and not line["final"]
        for final in ((False, True) if rule["kind"] == "final" else (False,))
    ]
    return [*(line for line in episodes if line["env_steps"] <= begin), *again]


def alike(one: Sequence[float] | np.ndarray, other: Sequence[float] | np.ndarray) -> bool:
    """Whether the scores of two runs, in the order of play, are too similar for two seeds. NaN equals nothing."""
    if len(one) != len(other) or not len(one):
        return False
    a, b = np.asarray(one, float), np.asarray(other, float)
    same = a[np.abs(a - b) <= 1e-6 * np.maximum(1.0, np.abs(a))]
    return len(same) >= MOST_ALIKE * len(a) and len(np.unique(np.round(same, 6))) >= FEWEST_VALUES
