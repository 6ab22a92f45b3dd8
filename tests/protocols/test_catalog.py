"""Every published protocol: unchanged, well-formed, and found by name or refused with a hint."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from protocols import catalog
from protocols.digests import pinned

PINS = Path(__file__).with_name("digests.json")
HOW = (
    "never edit a published version, add one; then: python -m protocols.digests > tests/protocols/digests.json && "
    "python -m protocols.page > docs/protocols.md"
)
ALL = pytest.mark.parametrize("protocol", catalog.PUBLISHED, ids=lambda protocol: protocol.id)


def test_published_protocol_is_unchanged():
    assert pinned() == json.loads(PINS.read_text()), HOW


def test_a_digest_sees_numbers_and_not_prose():
    from dataclasses import replace

    from protocols.spec import digest

    protocol = catalog.find("dmc-5m@1")
    assert digest(replace(protocol, purpose="other words")) == digest(protocol)
    assert digest(replace(protocol, evaluate_episodes=2)) != digest(protocol)
    assert digest(replace(protocol, final_environments=10)) != digest(protocol)
    assert digest(replace(protocol, simulators={**protocol.simulators, "mujoco": "3.18.0"})) != digest(protocol)


@ALL
def test_a_field_that_came_later_changes_a_digest_only_where_a_protocol_sets_it(protocol):
    from dataclasses import asdict

    from protocols.spec import LATER, digest, digest_of_data

    before = {name: value for name, value in asdict(protocol).items() if name not in LATER or value != LATER[name]}
    assert digest_of_data(before) == digest(protocol)
    assert (protocol.final_environments is None) == ("final_environments" not in before)


def test_versions_that_came_after_the_field_set_it():
    published = {protocol.id: protocol.final_environments for protocol in catalog.PUBLISHED}
    assert published["atari-200m@1"] is None
    assert published["atari-200m@2"] == 10


@ALL
def test_budget_and_cadence_are_whole_numbers_of_decisions(protocol):
    for task in protocol.tasks:
        per_round = protocol.action_repeat_of(task) * protocol.num_envs
        assert protocol.env_steps % per_round == 0, task
        assert protocol.evaluate_every_env_steps % per_round == 0, task
        assert protocol.time_limit_env_steps % protocol.action_repeat_of(task) == 0, task
    assert protocol.env_steps % protocol.evaluate_every_env_steps == 0


@ALL
def test_the_score_rule_finds_episodes(protocol):
    rule = protocol.score_rule
    if rule.kind == "window":
        assert protocol.evaluate_every_env_steps <= rule.window_env_steps <= protocol.env_steps
    else:
        assert (rule.window_env_steps, protocol.final_episodes > 0) == (0, rule.kind == "final")


@ALL
def test_each_names_its_source_its_simulator_and_distinct_tasks_and_seeds(protocol):
    assert protocol.source
    assert protocol.purpose
    assert protocol.choices
    assert protocol.simulators
    assert len(set(protocol.tasks)) == len(protocol.tasks) > 0
    assert len(set(protocol.seeds)) == len(protocol.seeds) >= 3
    assert set(protocol.task_options) <= set(protocol.tasks)


@pytest.mark.parametrize(("wrong", "near"), [("dmc-5m", "dmc-5m@1"), ("dmc5m@1", "dmc-5m@1"), ("quik@1", "quick@1")])
def test_an_unknown_protocol_is_refused_with_the_nearest_name(wrong, near):
    with pytest.raises(ValueError, match=f"did you mean '{near}'") as caught:
        catalog.find(wrong)
    assert "\n" not in str(caught.value)


def test_quick_says_what_it_is_not():
    assert "not the Dreamer paper's protocol" in catalog.find("quick@1").purpose


def test_default_agents_are_installed_rows_with_dreamer_first_and_random_last():
    from agents.catalog import BUILT_IN

    rows = catalog.rows(catalog.find("quick@1"))
    assert (rows[0], rows[-1]) == ("dreamer", "random")
    assert set(rows) <= {entry.name for entry in BUILT_IN}


@ALL
def test_tasks_and_options_are_those_of_the_suites(protocol):
    from dataclasses import fields

    from suites import catalog as suites

    for task in protocol.tasks:
        assert suites.resolve(task) == task
        assert set(protocol.options_of(task)) <= {field.name for field in fields(suites.options_type(task))}


def test_the_games_are_those_of_the_published_score_tables():
    table = Path(__file__).resolve().parents[2] / "../shared/reference/atari_human_random_record.csv"
    if not table.exists():
        pytest.skip("the reference folder is not beside this checkout")
    with table.open() as file:
        games = list(csv.DictReader(file))
    for column, protocol in (("in_dreamerv2_55", "atari-200m@1"), ("in_atari100k_26", "atari-100k@1")):
        expected = {"atari_" + game["task"] for game in games if game[column] == "1"}
        assert set(catalog.find(protocol).tasks) == expected


def test_planet_repeats_its_own_number_of_times():
    protocol = catalog.find("planet-6@1")
    assert [protocol.action_repeat_of(task) for task in protocol.tasks] == [8, 4, 4, 2, 4, 2]
