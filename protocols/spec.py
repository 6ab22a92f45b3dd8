"""What is measured, as frozen data, and the digest that every record carries. Standard library only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal

from dreamer_bench_base import UserError

Scalar = str | int | float | bool | None

PROSE = ("title", "purpose", "source", "choices")
"""Fields with explanations, which decide no number and are not part of the digest."""

LATER: Mapping[str, Any] = {"final_environments": None, "joined": {}, "diverged": "absent", "task_profiles": {}}
"""Fields that are newer than the first published versions, with the value that these versions imply. With this value a field is
not part of the digest."""


@dataclass(frozen=True, kw_only=True)
class ScoreRule:
    """Which evaluation episodes make the score of one run; the score is their mean return.

    window  every episode with budget - window_env_steps < env_steps <= budget
    last    the episodes of the last evaluation at or before the budget
    final   the separate final evaluation
    """

    kind: Literal["window", "last", "final"]
    window_env_steps: int = 0


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One version of one experiment. A published value is never edited; a change of meaning needs a new version.

    id                        "name@version"
    tasks                     names of the suite catalog, for example "dmc_walker_walk"
    suite_options             options of `suites.catalog.make` shared by all tasks (look, camera, sticky probability, ...)
    task_options              options of single tasks, which override the shared ones (PlaNet's own action repeats)
    action_repeat             simulator steps per decision, unless task_options has another number
    env_steps                 training budget per run, in simulator steps
    time_limit_env_steps      episode length limit, a truncation
    num_envs                  training environments per seed
    seeds                     the seeds of a complete submission
    evaluate_every_env_steps  cadence; the first evaluation is at 0 env steps, the last at the budget
    evaluate_episodes         episodes per evaluation
    final_episodes            episodes of the separate final evaluation at the budget; 0: none
    final_environments        environments in which a seed plays its final evaluation in parallel; None: as many as in a
                              regular one. It decides the acting noise of an episode
    score_range               possible episode returns, for the submission checker; None if unbounded
    normalization             "dmc" (score / 1000), "atari-human", "atari-gamer" (DreamerV2's constants),
                              "small-control" (random 0, optimum 1), "none"
    margin                    equivalence margin of `verify`, in normalised units
    agent_profile             profile of every agent's options, unless task_profiles has another for the task
    task_profiles             task -> profile, for example of the tasks that are seen as pictures
    joined                    for a task that joins others ("joined:..."): these tasks, as "task*action_repeat", in the order of
                              play; one env step is then one action repeat of the task
    simulators                package -> version that the numbers belong to
    diverged                  how a run with a loss that was not finite counts: "absent" (it has no score), or "untrained" (with
                              the score of its first evaluation); new protocols choose the second
    """

    id: str
    title: str
    purpose: str
    source: str
    choices: tuple[str, ...]
    tasks: tuple[str, ...]
    suite_options: Mapping[str, Scalar] = field(default_factory=dict)
    task_options: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)
    action_repeat: int
    env_steps: int
    time_limit_env_steps: int
    num_envs: int = 1
    seeds: tuple[int, ...]
    evaluate_every_env_steps: int
    evaluate_episodes: int
    final_episodes: int = 0
    final_environments: int | None = None
    score_rule: ScoreRule
    score_range: tuple[float, float] | None = None
    normalization: Literal["dmc", "atari-human", "atari-gamer", "small-control", "none"]
    margin: float
    agent_profile: str = "paper"
    simulators: Mapping[str, str]
    diverged: Literal["absent", "untrained"] = "absent"
    joined: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    task_profiles: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for task, parts in self.joined.items():
            for name, episodes in (("evaluate_episodes", self.evaluate_episodes), ("final_episodes", self.final_episodes)):
                if episodes % len(parts):
                    raise UserError(f"{name} must be a multiple of the {len(parts)} tasks that {task} joins, not {episodes}")

    def options_of(self, task: str) -> dict[str, Scalar]:
        """Every option of `suites.catalog.make` for one task of this protocol."""
        if task not in self.tasks:
            raise UserError(f"task {task!r} is not in {self.id}; it has {len(self.tasks)} tasks, for example {self.tasks[0]!r}")
        shared = {"action_repeat": self.action_repeat, "time_limit_env_steps": self.time_limit_env_steps}
        parts = {"tasks": "+".join(self.joined[task])} if task in self.joined else {}
        return {**shared, **parts, **self.suite_options, **self.task_options.get(task, {})}

    def played(self, task: str) -> tuple[str, ...]:
        """The tasks that the episodes of a run play in turn: the run's task, or the tasks that it joins."""
        return tuple(part.partition("*")[0] for part in self.joined.get(task, (task,)))

    def action_repeat_of(self, task: str) -> int:
        return int(self.options_of(task)["action_repeat"])  # type: ignore[arg-type]

    def profile_of(self, task: str) -> str:
        """The profile of every agent's options on one task."""
        return self.task_profiles.get(task, self.agent_profile)

    def by_profile(self, tasks: Sequence[str] = ()) -> dict[str, tuple[str, ...]]:
        """Profile -> those of the tasks (default: all) whose agents have its options, in the order of the tasks."""
        found: dict[str, tuple[str, ...]] = {}
        for task in tasks or self.tasks:
            found[self.profile_of(task)] = (*found.get(self.profile_of(task), ()), task)
        return found

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that decides a number. The fields in PROSE may be corrected without a new version."""
        return digest_of_data(asdict(self))


def canonical_json(value: Any) -> str:
    """The canonical JSON of a value, from which digests are computed: sorted keys, no spaces, no NaN."""
    return _CANONICAL.encode(value)


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)


def digest(protocol: Protocol) -> str:
    """`protocol.digest`."""
    return protocol.digest


def digest_of_data(data: Mapping[str, Any]) -> str:
    """The same digest, for a protocol as in a manifest (`protocol_data`)."""
    decided = {key: value for key, value in data.items() if key not in PROSE and (key, value) not in LATER.items()}
    return hashlib.sha256(canonical_json(decided).encode()).hexdigest()


def override_digest(overrides: Mapping[str, Any]) -> str:
    """Eight hexadecimal digits for the label of a run with changed options: `agent+digest`."""
    return hashlib.sha256(canonical_json(dict(overrides)).encode()).hexdigest()[:8]


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One run of the grid: an agent on a task under a protocol with a seed.

    overrides        fields of the agent's options that were set by hand
    limit_env_steps  a cut budget; such a run is marked and never counts as a run of the protocol
    """

    protocol: str
    digest: str
    agent: str
    task: str
    seed: int
    overrides: Mapping[str, Scalar] = field(default_factory=dict)
    limit_env_steps: int | None = None

    @property
    def label(self) -> str:
        """The name of the agent in folders and tables: its name, `+digest` with overrides, `~N` with a cut budget."""
        label = self.agent
        if self.overrides:
            label += "+" + override_digest(self.overrides)
        if self.limit_env_steps is not None:
            label += f"~{self.limit_env_steps}"
        return label
