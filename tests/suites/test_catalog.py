"""Names, aliases, refusals, and suites of other packages."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest

from suites import catalog

FOREIGN = """
from dataclasses import dataclass

TASKS = ("garden_path",)
ALIASES = {"garden_way": "garden_path"}

@dataclass(frozen=True, kw_only=True)
class Options:
    action_repeat: int = 1
    time_limit_env_steps: int | None = None

def unavailable(task):
    return None

def make(task, options):
    from suites import probes
    return probes.Count(probes.Options(action_repeat=options.action_repeat, time_limit_env_steps=options.time_limit_env_steps))
"""


@pytest.fixture
def foreign_package(tmp_path, monkeypatch):
    """An installed package, as pip leaves it, with an entry point of our group."""
    (tmp_path / "garden_suite.py").write_text(FOREIGN)
    information = tmp_path / "garden_bench-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: garden-bench\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[{catalog.ENTRY_POINT_GROUP}]\ngarden = garden_suite\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("garden_suite", None)


def test_every_name_leads_to_itself_and_every_alias_to_a_name():
    names = catalog.names()
    assert len(names) == len(set(names)) >= 20 + 57 + 6
    for name in names:
        assert catalog.resolve(name) == name
        assert catalog.unavailable(name) is None or "\n" not in catalog.unavailable(name)
    for suite in catalog.BUILT_IN:
        module = suite.load()
        for alias, name in module.ALIASES.items():
            assert catalog.resolve(alias) == name
            assert name in module.TASKS


def test_no_alias_means_two_tasks():
    pairs = [pair for suite in catalog.BUILT_IN for pair in suite.load().ALIASES.items()]
    assert len({alias for alias, _ in pairs}) == len(pairs)


def test_names_of_one_suite():
    assert catalog.names("probe") == [
        "probe_one_step",
        "probe_two_step",
        "probe_action",
        "probe_terminal",
        "probe_beyond",
        "probe_count",
    ]
    with pytest.raises(ValueError, match="suite 'robot' is not known"):
        catalog.names("robot")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("dmc_waker_walk", "dmc_walker_walk"),
        ("walker_wolk", "dmc_walker_walk"),
        ("atari_pongg", "atari_pong"),
        ("probe_onestep", "probe_one_step"),
    ],
)
def test_an_unknown_task_is_refused_with_the_nearest(name, near):
    with pytest.raises(ValueError, match=f"did you mean '{near}'") as caught:
        catalog.resolve(name)
    assert "\n" not in str(caught.value)


def test_an_unknown_option_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="no option 'action_repeats'; did you mean 'action_repeat'"):
        catalog.make("probe_one_step", action_repeats=2)


def test_a_suite_of_another_package_is_found_listed_and_made(foreign_package):
    assert catalog.suites()["garden"].origin == "garden-bench"
    assert "garden_path" in catalog.names()
    assert catalog.resolve("garden_way") == "garden_path"
    assert catalog.make("garden_path", action_repeat=2).step is not None


def test_a_taken_suite_name_is_refused(monkeypatch):
    taken = metadata.EntryPoint(name="dmc", value="other.dmc", group=catalog.ENTRY_POINT_GROUP)
    monkeypatch.setattr(catalog.metadata, "entry_points", lambda group: [taken])
    with pytest.raises(ValueError, match=r"'dmc' of entry point 'other\.dmc' is taken; give it another name"):
        catalog.suites()


def test_listing_names_imports_no_simulator():
    code = (
        "import sys; from suites import catalog; catalog.names(); [catalog.resolve(n) for n in catalog.names()]\n"
        "print([m for m in ('dm_control', 'mujoco', 'ale_py', 'torch', 'PIL') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["probe:x", "atari:pong", "dmc:foo", "probe:probe_count"])
def test_a_suite_with_a_list_of_tasks_takes_no_other_name(name):
    with pytest.raises(ValueError, match=f"task '{name}' is not known"):
        catalog.make(name)


def test_a_suite_that_says_it_is_open_takes_any_name():
    for name in ("gym:Anything-v7", "dmlab:tests/demo_map"):
        assert catalog.resolve(name) == name
