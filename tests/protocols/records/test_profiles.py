"""The file of profiles that `validate` reads says what the recipes say."""

from dataclasses import asdict
from importlib import import_module, resources

import pytest

from agents import catalog
from protocols.records import profiles


def options_of_recipes():
    return {
        entry.name: {name: asdict(options) for name, options in import_module(entry.recipe).PROFILES.items()}
        for entry in catalog.entries().values()
        if entry.origin == "built in" and entry.recipe.startswith("agents.")
    }


def test_the_file_of_profiles_is_that_of_the_recipes():
    expected = profiles.text(options_of_recipes())
    found = resources.files("protocols.records").joinpath(profiles.FILE).read_text()
    write = (
        "python -c 'from tests.protocols.records.test_profiles import *; print(profiles.text(options_of_recipes()), end=\"\")'"
    )
    assert found == expected, f"write it again: {write} > protocols/records/profiles.json"


@pytest.mark.parametrize(
    ("change", "overrides", "fault"),
    [
        ({}, {}, None),
        ({"horizon": 14}, {"horizon": 14}, None),
        ({"horizon": 14}, {}, "horizon is 14"),
        ({}, {"horizon": 14}, "set by hand to 14"),
        ({"secret": 1}, {}, "secret is no option"),
    ],
)
def test_options_are_the_profiles_or_overrides(change, overrides, fault):
    options = {**profiles.known()["dreamer"]["paper"], **change}
    manifest = {
        "agent": "dreamer",
        "task": "a",
        "options": options,
        "overrides": overrides,
        "protocol_data": {"agent_profile": "paper"},
    }
    found = list(profiles.faults(manifest))
    assert (found == []) if fault is None else (len(found) == 1 and fault in found[0])


def test_options_are_those_of_the_tasks_own_profile():
    known = profiles.known()["dreamer"]
    protocol = {"agent_profile": "paper", "task_profiles": {"a": "quick"}}

    def faults(task, profile):
        manifest = {"agent": "dreamer", "task": task, "options": known[profile], "overrides": {}, "protocol_data": protocol}
        return list(profiles.faults(manifest))

    assert faults("a", "quick") == faults("b", "paper") == []
    assert faults("a", "paper")
    assert faults("b", "quick")
