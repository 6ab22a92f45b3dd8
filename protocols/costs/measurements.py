"""Measured costs of single steps of agents and environments, and the file format for them (docs/cluster.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from dreamer_bench_base import InvalidData, UserError
from dreamer_bench_json import MOST_JSON_BYTES, check_shape, parse_json
from dreamer_bench_untrusted import read_regular

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class AgentCost:
    """Measured costs of one program of an agent on one device.

    seeds_per_program            S of the measured program; the three times are those of the whole program
    gradient_step_seconds        one update of every seed
    act_seconds                  one decision in every training environment of every seed
    observe_seconds              taking the rows of one decision into replay
    first_gradient_env_steps     env_steps before the first update
    pretrain_gradient_steps      number of first updates, made at once
    gradient_steps_per_env_step  rate of updates after them
    memory_bytes                 resident memory of the process
    checkpoint_bytes             one generation of one seed
    replay_bytes_per_env_step    replay of one seed
    replay_bytes_at_most         most bytes of the replay of one seed; None if it has no capacity
    processor_share              processor time by wall time while it was measured on a CPU; below 1, other programs ran too
    scaled                       how a time was scaled from a smaller measurement; empty if everything was measured
    """

    agent: str
    profile: str
    device: str
    seeds_per_program: int
    gradient_step_seconds: float
    act_seconds: float
    observe_seconds: float
    first_gradient_env_steps: int
    pretrain_gradient_steps: int
    gradient_steps_per_env_step: float
    memory_bytes: int
    checkpoint_bytes: int
    replay_bytes_per_env_step: float
    replay_bytes_at_most: int | None = None
    processor_share: float | None = None
    scaled: str = ""


@dataclass(frozen=True, kw_only=True)
class EnvironmentCost:
    """Cost of one environment of a task: one decision (all repeats, one frame) and one reset."""

    task: str
    action_repeat: int
    agent_step_seconds: float
    reset_seconds: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A set of measurements on one machine."""

    agents: tuple[AgentCost, ...]
    environments: tuple[EnvironmentCost, ...]
    machine: Mapping[str, Any] = field(default_factory=dict)


def as_data(measured: Measured) -> dict[str, Any]:
    """Measurements as the JSON that `read_measured` reads."""
    return {
        "schema": SCHEMA,
        "machine": dict(measured.machine),
        "agents": [asdict(cost) for cost in measured.agents],
        "environments": [asdict(cost) for cost in measured.environments],
    }


_EXPECTED = "expected a file that `dreamer-bench plan --save` or `bench` wrote"


def read_measured(path: Path) -> Measured:
    """Measurements from a file of schema 1. Raises ValueError, in one line, for any other file."""
    try:
        data = parse_json(read_regular(path.resolve(), most_bytes=MOST_JSON_BYTES), f"--measured {path}")
    except OSError as error:
        raise UserError(f"--measured {path} cannot be read: {error.strerror}; {_EXPECTED}") from None
    except InvalidData as error:
        raise UserError(f"{error}; {_EXPECTED}") from None
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise UserError(f"--measured {path} is not of schema {SCHEMA}; {_EXPECTED}")
    machine = data.get("machine", {})
    check_shape(machine, dict[str, Any], f"--measured {path}, machine")
    return Measured(
        agents=tuple(_costs(AgentCost, data.get("agents", []), path)),
        environments=tuple(_costs(EnvironmentCost, data.get("environments", []), path)),
        machine=machine,
    )


def _costs(kind: type[Any], entries: Sequence[Mapping[str, Any]], path: Path) -> list[Any]:
    names = [entry.name for entry in fields(kind)]
    needed = [entry.name for entry in fields(kind) if entry.default is MISSING]
    check_shape(entries, list[dict[str, Any]], f"--measured {path}, entries for {kind.__name__}")
    hints = get_type_hints(kind)
    for entry in entries:
        missing = [name for name in needed if name not in entry]
        if missing:
            raise UserError(f"--measured {path}: an entry for {kind.__name__} lacks {', '.join(missing)}")
        for name in names:
            if name in entry:
                check_shape(entry[name], hints[name], f"--measured {path}, {name} of {kind.__name__}")
                if isinstance(entry[name], (int, float)) and entry[name] < 0:
                    raise UserError(f"--measured {path}: {name} of {kind.__name__} is {entry[name]}; it is 0 or more")
    return [kind(**{name: entry[name] for name in names if name in entry}) for entry in entries]
