"""Checks of a record: the evaluation episodes, their cadence and values, and the score that follows from them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from protocols.cadence import cadence_of, episode_seed
from protocols.records.rules import Broken
from protocols.records.schema import (
    EpisodeLine,
    Manifest,
    Result,
)
from protocols.records.score import result_score
from protocols.records.store import EPISODES, METRICS, RESULT, Run
from protocols.spec import Protocol


def check_lines(protocol: Protocol, manifest: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> Iterator[Broken]:
    """Checks of all episode lines, for finished and unfinished runs."""
    repeat = protocol.action_repeat_of(manifest["task"])
    longest = -(-protocol.time_limit_env_steps // repeat)
    off_count = [line for line in lines if line["agent_steps"] * repeat != line["env_steps"]]
    if off_count:
        yield "counts", f"{len(off_count)} episodes whose env_steps are not agent_steps x {repeat}, first {_at(off_count[0])}"
    for name in ("env_steps", "gradient_steps", "checkpoint"):
        column = [line[name] for line in lines]
        if column != sorted(column):
            yield "counts", f"{name} goes back between two episodes"
    tasks = protocol.played(manifest["task"])
    if manifest["task"] in protocol.joined:
        strange = [line for line in lines if line.get("task") != tasks[line["episode"] % len(tasks)]]
        if strange:
            yield "episode_seed", f"{len(strange)} episodes of the wrong task, first {_at(strange[0])}"
    seed, each, count = manifest["seed"], protocol.evaluate_episodes, len(tasks)
    off_seed = [
        line
        for line in lines
        if line["env_seed"]
        != (
            episode_seed(seed, "final", line["episode"], count)
            if line["final"]
            else episode_seed(seed, "evaluate", line["checkpoint"] * each + line["episode"], count)
        )
    ]
    if off_seed:
        yield "episode_seed", f"{len(off_seed)} episodes with the wrong seed, first {_at(off_seed[0])}"
    for problem, bad in (
        ("a score that is not a number", [line for line in lines if not _is_number(line["score"])]),
        (
            f"a score outside {protocol.score_range}",
            [line for line in lines if not _in_range(line["score"], protocol.score_range)],
        ),
        (f"a length outside 1 to {longest} decisions", [line for line in lines if not 1 <= line["length"] <= longest]),
    ):
        if bad:
            yield "score", f"{len(bad)} episodes with {problem}, first {_at(bad[0])}"


def check_completed(protocol: Protocol, manifest: Manifest, lines: Sequence[EpisodeLine], result: Result) -> Iterator[Broken]:
    cadence = cadence_of(protocol, manifest["task"], protocol.env_steps)
    yield from _check_cadence(protocol, cadence.evaluation_env_steps, lines, final=True)
    for name in ("env_steps", "agent_steps", "gradient_steps"):
        if lines and result[name] != lines[-1][name]:  # type: ignore[literal-required]
            yield "counts", f"{RESULT} ends at {result[name]:,} {name}, the last episode at {lines[-1][name]:,}"  # type: ignore[literal-required]
    if result["episodes"] != len(lines):
        yield "counts", f"{RESULT} counts {result['episodes']} episodes, {EPISODES} has {len(lines)}"
    if result["env_steps"] != cadence.evaluation_env_steps[-1]:
        yield "budget", f"ended at {result['env_steps']:,} of {protocol.env_steps:,} env_steps"
    yield from _check_score(manifest, lines, result)


def _check_score(manifest: Manifest, lines: Sequence[EpisodeLine], result: Result) -> Iterator[Broken]:
    data = manifest["protocol_data"]
    try:
        score = result_score(data, result["status"], lines, data["env_steps"])
    except (TypeError, ValueError) as error:
        yield "score", f"no score follows from the episodes: {error}"
        return
    said = result["score"]
    if score is None or said is None:
        same = said is score
    else:
        same = _is_number(said) and math.isclose(said, score, rel_tol=1e-9, abs_tol=1e-9)
    if not same:
        yield "score", f"{RESULT} says {said}, the episodes say {score}"


def check_diverged(protocol: Protocol, run: Run, result: Result) -> Iterator[Broken]:
    """Checks that a diverged run has its evidence: all evaluations up to that point, and the line that says so."""
    lines, metrics = run.episodes(), run.metrics()
    cadence = cadence_of(protocol, run.manifest["task"], protocol.env_steps)
    due = [steps for steps in cadence.evaluation_env_steps if steps < result["env_steps"]]
    yield from _check_cadence(protocol, due, lines, final=False)
    if not 0 < result["env_steps"] <= cadence.evaluation_env_steps[-1] or not result["gradient_steps"] > 0:
        yield "diverged", f"no loss can be lost at {result['env_steps']:,} env_steps and {result['gradient_steps']} updates"
    if run.schema >= 2:
        last = metrics[-1] if metrics else None
        counts = ("env_steps", "agent_steps", "gradient_steps")
        if last is None or last.get("diverged") is not True or any(last[name] != result[name] for name in counts):  # type: ignore[literal-required]
            yield "diverged", f"{METRICS} does not end with the line of {result['env_steps']:,} env_steps that says so"
    yield from _check_score(run.manifest, lines, result)


def _check_cadence(
    protocol: Protocol, evaluations: Sequence[int], lines: Iterable[EpisodeLine], *, final: bool
) -> Iterator[Broken]:
    expected = {(steps, False): protocol.evaluate_episodes for steps in evaluations}
    if protocol.final_episodes and final:
        expected[evaluations[-1], True] = protocol.final_episodes
    found = [(line["env_steps"], bool(line["final"]), line["episode"]) for line in lines]
    if found == [(*key, episode) for key, count in expected.items() for episode in range(count)]:
        return  # every episode once, in the order of play
    played: dict[tuple[int, bool], list[int]] = defaultdict(list)
    for steps, is_final, episode in found:
        played[steps, is_final].append(episode)
    holes = [_name(key) for key in sorted(expected.keys() - played.keys())]
    if holes:
        yield "cadence", f"{len(holes)} of {len(expected)} evaluations are missing: {', '.join(holes[:3])}"
    strange = [_name(key) for key in sorted(played.keys() - expected.keys())]
    if strange:
        yield "cadence", f"{len(strange)} evaluations where {protocol.id} has none: {', '.join(strange[:3])}"
    every = {count: list(range(count)) for count in expected.values()}
    for key in sorted(key for key in expected.keys() & played.keys() if sorted(played[key]) != every[expected[key]]):
        yield "cadence", f"{_name(key)}: expected episodes 0 to {expected[key] - 1}, found {sorted(played[key])}"


def _is_number(score: Any) -> bool:
    return isinstance(score, (int, float)) and math.isfinite(score)


def _in_range(score: Any, allowed: tuple[float, float] | None) -> bool:
    if allowed is None or not _is_number(score):
        return True
    slack = 1e-3  # returns are sums of a thousand float32 rewards
    return allowed[0] - slack <= score <= allowed[1] + slack


def _at(line: Mapping[str, Any]) -> str:
    return f"at {line['env_steps']:,} env_steps (score {line['score']}, length {line['length']})"


def _name(key: tuple[int, bool]) -> str:
    return f"{key[0]:,} env_steps{' (final)' if key[1] else ''}"
