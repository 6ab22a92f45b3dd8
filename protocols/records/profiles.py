"""The options of every profile of this project's agents, as data, because a reader of records imports no agent.

`tests/protocols/records/test_profiles.py` compares the file with the recipes and says how to regenerate it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

from protocols.records import schedule
from protocols.spec import canonical_json

FILE = "profiles.json"


@cache
def known() -> dict[str, dict[str, dict[str, Any]]]:
    """Agent -> profile -> options. In the file, a profile has only what differs from the agent's first profile."""
    stored = json.loads(resources.files("protocols.records").joinpath(FILE).read_text())
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for agent, profiles in stored.items():
        first = next(iter(profiles.values()))
        found[agent] = {name: {**first, **own} for name, own in profiles.items()}
    return found


def text(options: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """The text of the file for these options: one line per profile."""
    agents = []
    for agent, profiles in options.items():
        first = next(iter(profiles.values()))
        lines = [
            f"  {json.dumps(name)}: {json.dumps(dict(own) if own is first else _different(own, first))}"
            for name, own in profiles.items()
        ]
        agents.append(f" {json.dumps(agent)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(agents) + "\n}\n"


def faults(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Options of a record that are neither those of its protocol's profile nor overrides.

    An option may be missing in the record if it is newer than the record; the options of the schedule always existed. An agent
    of another package is identified by the hash of its files alone.
    """
    agents, protocol = known(), manifest["protocol_data"]
    profile = protocol.get("task_profiles", {}).get(manifest["task"], protocol.get("agent_profile", "paper"))
    options, overrides = manifest["options"], manifest["overrides"]
    for name, value in overrides.items():
        if name not in options or canonical_json(options[name]) != canonical_json(value):
            yield f"option {name} is {options.get(name)!r}, set by hand to {value!r}"
    if manifest["agent"] not in agents:
        return
    expected = agents[manifest["agent"]].get(profile)
    if expected is None:
        yield f"agent {manifest['agent']!r} has no profile {profile!r}"
        return
    for name in schedule.FIELDS:
        if name in expected and name not in options:
            yield f"option {name} is missing"
    for name, value in options.items():
        if name in overrides:
            continue
        if name not in expected:
            yield f"option {name} is no option of {manifest['agent']}"
        elif canonical_json(value) != canonical_json(expected[name]):
            yield f"option {name} is {value!r}, profile {profile!r} has {expected[name]!r} and it was not set by hand"


def _different(own: Mapping[str, Any], first: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in own.items() if canonical_json(value) != canonical_json(first[name])}
