"""A protocol from a user's own file, which names a published protocol and what differs from it.

    base = "dmc-1m@1"
    tasks = ["dmc_walker_walk"]
    env_steps = 100_000

Its id is own-NAME@1 after the file's name. Its digest is computed as for any protocol, and every manifest has the whole
protocol, so readers of records do not need the file.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from dreamer_bench_base import UserError, suggestion
from protocols.spec import Protocol, ScoreRule, digest

PREFIX = "own-"
SUFFIX = ".toml"
NULLABLE = ("int | None", "tuple[float, float] | None")
"""Types of the fields that a published protocol may leave empty."""
MOST_EPISODES = 10_000_000
"""Most evaluation episodes of one run for which a record is read, because a check lists all episodes that are due."""


def is_file(name: str) -> bool:
    """Whether the name of a protocol is that of a file."""
    return name.endswith(SUFFIX)


def is_own(id: str) -> bool:
    """Whether the id of a protocol comes from a user's own file."""
    return id.startswith(PREFIX)


def load(path: Path, find: Callable[[str], Protocol]) -> Protocol:
    """The protocol in a file; `find` returns the published protocol that its `base` names.

    Raises UserError with the field and its range if the file is not a valid protocol.
    """
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); expected a protocol file, or a name of `list protocols`"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not TOML ({error}); correct it there") from None
    base = given.pop("base", None)
    if not isinstance(base, str):
        raise UserError(f'{path}: base must name the protocol to start from, for example base = "dmc-1m@1"')
    published = find(base)
    changes: dict[str, Any] = {}
    for name, value in given.items():
        if name not in CHECKS:
            raise UserError(
                f"{path}: field {name!r} is not known{suggestion(name, CHECKS) or '.'} It may have {', '.join(CHECKS)}"
            )
        try:
            changes[name] = CHECKS[name](value)
        except (TypeError, ValueError) as error:
            raise UserError(f"{path}: {name} must be {error}, not {value!r}") from None
    slug = re.sub(r"[^a-z0-9]+", "-", path.name.removesuffix(SUFFIX).lower()).strip("-")
    if not slug:
        raise UserError(f"{path}: the file's name becomes the protocol's name; give it a name with a letter or a digit")
    own = replace(
        published,
        **{
            "title": f"{published.title}, as changed in {path.name}",
            "purpose": f"A user's own protocol: {published.id} with other {', '.join(changes)}.",
            "choices": (),
            "task_options": {t: o for t, o in published.task_options.items() if t in changes.get("tasks", published.tasks)},
            "task_profiles": {t: p for t, p in published.task_profiles.items() if t in changes.get("tasks", published.tasks)},
            **changes,
            "id": f"{PREFIX}{slug}@1",
            "source": f"a user's own file, based on {published.id}",
        },
    )
    for name in ("task_options", "task_profiles"):
        if foreign := sorted(set(changes.get(name, {})) - set(own.tasks)):
            raise UserError(f"{path}: {name} has {foreign[0]!r}, which is not among the tasks; they are {', '.join(own.tasks)}")
    _refuse_endless(str(path), vars(own))
    _refuse_unscored(str(path), own)
    if digest(replace(own, id=published.id)) == digest(published):
        raise UserError(f"{path} does not differ from {published.id}; run {published.id}, or give a field that differs")
    return own


def from_data(kept: Mapping[str, Any]) -> Protocol:
    """The protocol in a manifest (`protocol_data`). It is data from outside, so every field is checked against its range.

    Raises UserError with the field if it is not a valid protocol.
    """
    data = dict(kept)
    known = {field.name: field for field in fields(Protocol)}
    if unknown := sorted(set(data) - set(known)):
        raise UserError(f"protocol {data.get('id')!r} has a field {unknown[0]!r} that is not known here; use a newer version")
    needed = [name for name, field in known.items() if field.default is MISSING and field.default_factory is MISSING]
    if missing := [name for name in needed if name not in data]:
        raise UserError(f"protocol {data.get('id')!r} lacks {', '.join(missing)}; restore the record from a copy")
    for name, check in {**CHECKS, **KEPT_CHECKS}.items():
        if name not in data or (data[name] is None and known[name].type in NULLABLE):
            continue
        try:
            check(data[name])
        except (TypeError, ValueError) as error:
            raise UserError(f"protocol {data.get('id')!r}: {name} must be {error}, not {data[name]!r}") from None
    _refuse_endless(data["id"], data)
    for name in ("choices", "tasks", "seeds"):
        data[name] = tuple(data[name])
    data["joined"] = {task: tuple(parts) for task, parts in data.get("joined", {}).items()}
    data["score_rule"] = ScoreRule(**data["score_rule"])
    data["score_range"] = None if data.get("score_range") is None else tuple(data["score_range"])
    return Protocol(**data)


def _refuse_endless(where: str, data: Mapping[str, Any]) -> None:
    episodes = (data["env_steps"] // data["evaluate_every_env_steps"] + 2) * data["evaluate_episodes"]
    if episodes + data.get("final_episodes", 0) > MOST_EPISODES:
        raise UserError(
            f"{where} asks for more than {MOST_EPISODES:,} evaluation episodes a run; raise evaluate_every_env_steps, or lower "
            "evaluate_episodes"
        )


def _refuse_unscored(where: str, protocol: Protocol) -> None:
    rule = protocol.score_rule
    if rule.kind == "final" and protocol.final_episodes == 0:
        raise UserError(
            f'{where}: the score is the final evaluation\'s, so give final_episodes, or score_rule = {{kind = "last"}}'
        )
    if rule.kind == "window" and rule.window_env_steps > protocol.env_steps:
        raise UserError(
            f"{where}: the score is a mean over the last {rule.window_env_steps:,} env_steps, more than the budget; give "
            f'score_rule = {{kind = "window", window_env_steps = {max(1, protocol.env_steps // 10)}}}'
        )


def _whole(least: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if type(value) is not int or value < least:
            raise ValueError(f"a whole number of at least {least}")
        return value

    return check


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("text")
    return value


def _names(value: Any) -> tuple[str, ...]:
    if (
        not isinstance(value, list)
        or not value
        or not all(isinstance(name, str) for name in value)
        or len(set(value)) < len(value)
    ):
        raise ValueError("a list of different task names")
    return tuple(value)


def _seeds(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not value or not all(type(seed) is int and 0 <= seed < 2**31 for seed in value):
        raise ValueError("a list of whole numbers from 0 to 2147483647")
    if len(set(value)) < len(value):
        raise ValueError("a list without a number twice")
    return tuple(value)


def _scalars(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(
        isinstance(entry, (str, int, type(None))) or (isinstance(entry, float) and math.isfinite(entry))
        for entry in value.values()
    ):
        raise ValueError("a table of texts, finite numbers, true and false")
    return value


def _tables(value: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(value, dict):
        raise ValueError("a table of tables, one for each task")
    return {name: _scalars(entry) for name, entry in value.items()}


def _profiles(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(name, str) and name.strip() for name in value.values()):
        raise ValueError("a table with the name of a profile for each task")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(entry, str) for entry in value):
        raise ValueError("a list of texts")
    return tuple(value)


def _joined(value: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict) or not all(value.values()):
        raise ValueError("a table of lists of tasks")
    return {name: _texts(entry) for name, entry in value.items()}


def _range(value: Any) -> tuple[float, float]:
    if (
        not isinstance(value, list)
        or len(value) != 2
        or not all(isinstance(end, (int, float)) and math.isfinite(end) for end in value)
    ):
        raise ValueError("a list of two finite numbers, the lowest and the highest return")
    if not value[0] < value[1]:
        raise ValueError("a list of the lowest and the highest return, in this order")
    return float(value[0]), float(value[1])


def _margin(value: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not (math.isfinite(value) and value > 0):
        raise ValueError("a number above 0, in normalised units")
    return float(value)


def _one_of(choices: tuple[str, ...]) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return str(value)

    return check


def _score_rule(value: Any) -> ScoreRule:
    kinds: tuple[Literal["window", "last", "final"], ...] = get_args(get_type_hints(ScoreRule)["kind"])
    wanted = f"a table with kind ({', '.join(kinds)}) and, for a window, window_env_steps of at least 1"
    if not isinstance(value, dict) or set(value) - {"kind", "window_env_steps"} or value.get("kind") not in kinds:
        raise ValueError(wanted)
    window = value.get("window_env_steps", 0)
    if type(window) is not int or window < (value["kind"] == "window"):
        raise ValueError(wanted)
    return ScoreRule(kind=value["kind"], window_env_steps=window)


CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "title": _text,
    "purpose": _text,
    "tasks": _names,
    "suite_options": _scalars,
    "task_options": _tables,
    "action_repeat": _whole(1),
    "env_steps": _whole(1),
    "time_limit_env_steps": _whole(1),
    "num_envs": _whole(1),
    "seeds": _seeds,
    "evaluate_every_env_steps": _whole(1),
    "evaluate_episodes": _whole(1),
    "final_episodes": _whole(0),
    "final_environments": _whole(1),
    "score_rule": _score_rule,
    "score_range": _range,
    "normalization": _one_of(get_args(get_type_hints(Protocol)["normalization"])),
    "margin": _margin,
    "agent_profile": _text,
    "task_profiles": _profiles,
    "simulators": _scalars,
    "diverged": _one_of(get_args(get_type_hints(Protocol)["diverged"])),
}
"""Field -> function that turns the value in a file into the protocol's, or raises ValueError with what it must be."""

KEPT_CHECKS: Mapping[str, Callable[[Any], Any]] = {"id": _text, "source": _text, "choices": _texts, "joined": _joined}
"""The same for fields that a record has and a file must not set."""
