"""The bench command from end to end at its smallest, and what `plan` makes of its record."""

from __future__ import annotations

import json
import math

import pytest

from agents.speed import Speed
from dreamer_bench import BenchCommand
from protocols.catalog import find
from protocols.costs import bench, bench_tables, measurements, short_schedule
from protocols.costs.commands import PlanCommand


def test_the_command_measures_writes_and_is_planned_with(tmp_path, capsys):
    record, tables = tmp_path / "bench.json", tmp_path / "bench.md"
    command = BenchCommand(
        device="cpu",
        profile="quick",
        agents=("dreamer",),
        seeds_per_program=(1,),
        workers=(0,),
        seconds=0.01,
        json=record,
        markdown=tables,
    )
    assert command.run() == 0
    assert capsys.readouterr().out == tables.read_text()
    data = json.loads(record.read_text())
    (program,) = data["bench"]["programs"]
    assert program["speed"]["updates"]["eager"] > 0
    assert {"replay sampling", "noise", "world model", "behaviour", "optimisers"} == set(program["speed"]["stages"])
    assert program["env_steps_per_second_and_seed"] > 0
    assert program["loop_updates"] >= 1
    assert {"torch", "threads", "commit", "cpu", "gl_renderer"} <= data["machine"].keys()
    (cost,) = measurements.read_measured(record).agents
    assert cost.gradient_step_seconds == program["speed"]["updates"]["eager"]
    assert PlanCommand(protocol="quick@1", agents=("dreamer",), measured=record).run() == 0
    assert "device hours" in capsys.readouterr().out


def request(**changes):
    asked = {
        "tasks": ("probe_one_step",),
        "agents": ("random",),
        "seeds_per_program": (1, 3),
        "workers": (0,),
        "device": "cpu",
        "ways": ("eager",),
        "seconds": 0.0,
        "most_seconds": None,
        **changes,
    }
    return bench.request(find("quick@1"), **asked)


def test_a_task_outside_the_protocol_is_measured_without_its_suites_options():
    assert request().protocol.options_of("probe_one_step") == {"action_repeat": 4, "time_limit_env_steps": 1_000}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds_per_program": (0,)}, "--seeds-per-program takes numbers of at least 1, not 0"),
        ({"workers": (-1,)}, "--workers takes numbers of at least 0"),
        ({"seconds": -1.0}, "--seconds takes numbers of at least 0"),
        ({"tasks": ("dmc_walker_wlk",)}, "did you mean 'dmc_walker_walk'"),
    ],
)
def test_what_measures_nothing_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        request(**changes)


def test_more_seeds_are_left_out_once_an_update_is_too_slow(monkeypatch):
    asked = []

    def measured(request, inspect, name, seeds):
        asked.append(seeds)
        return bench.Program(agent=name, seeds=seeds, speed={"updates": {"eager": 2.0 * seeds}})

    monkeypatch.setattr(bench, "apart", measured)
    record = bench.bench(request(seeds_per_program=(10, 1, 3, 5), most_seconds=5.0), None, {}, say=lambda line: None)
    assert asked == [1, 3]
    slow = "an update took 6.0 s at S = 3"
    assert [program["skipped"] for program in record["bench"]["programs"]] == [None, None, slow, slow]


def test_updates_come_in_the_same_share_but_in_the_smallest_portions():
    from agents import catalog

    for profile in ("paper", "quick"):
        options = catalog.find("dreamer").options(profile)
        short = short_schedule.same_share(options, None)
        assert (short.updates * options.update_every_env_steps) == (options.updates * short.update_every_env_steps)
        assert math.gcd(short.updates, short.update_every_env_steps) == 1
    nothing = catalog.find("random").options("quick")
    assert short_schedule.same_share(nothing, None) is nothing


def test_tables_say_what_was_not_measured():
    speed = Speed(
        updates={"eager": 0.5, "captured": 0.125},
        failures={"compiled": "no compiler"},
        calls={"eager": 1, "captured": 9},
        act=0.002,
        evaluate=0.003,
        stages={"noise": 0.25, "world model": 0.75},
    )
    programs = [
        bench.Program(agent="dreamer", seeds=5, speed=vars(speed), env_steps_per_second_and_seed=8.0),
        bench.Program(agent="dreamer", seeds=10, skipped="memory"),
    ]
    text = bench_tables.updates_table([vars(program) for program in programs])
    assert "| dreamer | 5 | 2 | 8 | not measured | 40 |" in text  # 5 seeds x 8 updates a second
    assert "| dreamer | 10 | not measured | not measured | not measured | not measured |" in text
    assert "- compiled: no compiler" in text
    assert "- dreamer, S = 5, eager: one call after the first" in text
    assert "| dreamer | 5 | 1e+03 | 25.0 % | 75.0 % |" in bench_tables.stages_table([vars(programs[0])])


def test_files_that_cannot_be_written_are_refused_before_measuring(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        bench.check_target(tmp_path / "missing" / "file.json")
