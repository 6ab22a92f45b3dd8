"""Which code made a record: the commit of a checkout, the files of a wheel, the packages of agent, suite and protocol."""

from __future__ import annotations

import base64
import hashlib
import importlib
import json
import subprocess
import sys
from importlib import metadata

import pytest
from make_records import make_run
from probe_runs import PROBE, records, register, request

from dreamer_bench_base import UserError
from protocols.records import code_identity
from protocols.records.store import find_runs
from protocols.records.validate import check
from protocols.running.launch import run_cohort

UNKNOWN = {"module": "m", "package": None, "version": None, "commit": None, "dirty": False, "sha256": "0" * 64}


def git(folder, *arguments):
    name = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", "-C", folder, *name, *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A small git checkout in the place of this project's own."""
    for name in ("agents/a.py", "suites/b.py", "protocols/c.py", "analysis/d.py", "dreamer_bench.py", "pyproject.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    monkeypatch.setattr(code_identity, "SOURCE", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "dirty"),
    [
        ("video.webp", False),
        ("figures/curves.svg", False),
        ("tests/new.py", False),
        ("agents/new.py", True),
        ("agents/deep/new.py", True),
        ("random.py", True),
        ("constraints.txt", True),
        ("agents/a.py", True),
        ("pyproject.toml", True),
    ],
)
def test_only_what_can_be_imported_makes_a_checkout_differ_from_its_commit(checkout, path, dirty):
    assert code_identity.code()["dirty"] is False
    (checkout / path).parent.mkdir(parents=True, exist_ok=True)
    (checkout / path).write_text("x = 2\n")
    assert code_identity.code()["dirty"] is dirty


def test_a_checkout_whose_state_git_cannot_tell_is_not_clean(checkout, monkeypatch):
    git_of = code_identity.git
    monkeypatch.setattr(code_identity, "git", lambda folder, *more: None if more[0] == "status" else git_of(folder, *more))
    assert code_identity.code()["dirty"] is True
    monkeypatch.setattr(code_identity, "git", lambda folder, *more: None)
    found = code_identity.code()
    assert (found["commit"], found["dirty"]) == (None, True)


def test_the_hash_of_the_files_is_that_of_their_names_and_contents(checkout):
    names = ["agents/a.py", "analysis/d.py", "dreamer_bench.py", "protocols/c.py", "suites/b.py"]
    shown = subprocess.run(["sha256sum", *names], cwd=checkout, capture_output=True, text=True, check=True).stdout
    lines = [line.split() for line in shown.splitlines()]
    expected = hashlib.sha256("".join(f"{name} {digest}\n" for digest, name in lines).encode()).hexdigest()
    found = code_identity.code()
    assert found["source"]["sha256"] == expected
    code_identity.files_hash_of_commit.cache_clear()
    assert code_identity.files_hash_of_commit(found["commit"]) == expected
    assert code_identity.files_hash_of_commit("a" * 40) is None


def test_a_wheel_has_the_identity_of_the_checkout_it_was_built_from_and_a_changed_file_is_seen(checkout, tmp_path, monkeypatch):
    from_checkout = code_identity.code()["source"]["sha256"]
    site = tmp_path / "site"
    site.mkdir()
    noted = []
    for path in code_identity.own_files(checkout):
        target = site / path.relative_to(checkout)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
        digest = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()
        noted.append(f"{path.relative_to(checkout)},sha256={digest},6")
    info = site / "dreamer_bench-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dreamer-bench\nVersion: 9.9\n")
    (info / "RECORD").write_text("\n".join(noted) + "\n")
    monkeypatch.setattr(code_identity, "SOURCE", site)
    monkeypatch.setattr(metadata, "distribution", lambda name: metadata.PathDistribution(info))
    monkeypatch.setattr(code_identity, "version_of", lambda name: "9.9")
    source = {"package": "dreamer-bench", "version": "9.9", "sha256": from_checkout}
    assert code_identity.code() == {"commit": None, "dirty": False, "source": source}
    (site / "agents" / "a.py").write_text("x = 3\n")
    assert code_identity.code()["dirty"] is True


def test_an_installed_package_is_named_with_version_and_the_commit_that_pip_noted(tmp_path, monkeypatch):
    (tmp_path / "their_agent").mkdir()
    (tmp_path / "their_agent" / "__init__.py").write_text("x = 1\n")
    (tmp_path / "their_agent" / "recipe.py").write_text("y = 1\n")
    info = tmp_path / "their_package-2.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 2.5\n")
    (info / "RECORD").write_text("their_agent/__init__.py,,\ntheir_agent/recipe.py,,\n")
    (info / "top_level.txt").write_text("their_agent\n")
    noted = {"url": "https://example.org/it.git", "vcs_info": {"vcs": "git", "commit_id": "a" * 40}}
    (info / "direct_url.json").write_text(json.dumps(noted))
    monkeypatch.syspath_prepend(tmp_path)
    found = code_identity.origin("their_agent.recipe")
    assert {name: found[name] for name in ("module", "package", "version", "commit", "dirty")} == {
        "module": "their_agent.recipe",
        "package": "their-package",
        "version": "2.5",
        "commit": "a" * 40,
        "dirty": False,
    }
    assert "their_agent" not in sys.modules
    (tmp_path / "their_agent" / "recipe.py").write_text("y = 2\n")
    assert code_identity.origin("their_agent.recipe")["sha256"] != found["sha256"]


@pytest.mark.parametrize(
    ("path", "dirty"),
    [
        ("my_agent.egg-info/PKG-INFO", False),
        ("__pycache__/my_agent.cpython-311.pyc", False),
        ("my_agent.py", True),
        ("weights.npz", True),
        ("other.py", True),
    ],
)
def test_what_pip_and_python_leave_in_an_agents_repository_is_no_change_of_its_code(tmp_path, monkeypatch, path, dirty):
    """As after `pip install -e` of a package that has no .gitignore yet."""
    (tmp_path / "my_agent.py").write_text("PROFILES = {}\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    place = tmp_path / path
    place.parent.mkdir(exist_ok=True)
    place.write_text("changed\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    assert code_identity.origin("my_agent")["dirty"] is dirty


def test_what_this_project_brings_is_named_so():
    assert code_identity.origin("agents.recipes.dreamer")["package"] == "dreamer-bench"
    with pytest.raises(UserError, match="'no_such_module' is not installed"):
        code_identity.origin("no_such_module")


def test_a_run_names_its_packages_and_is_not_resumed_under_others(tmp_path, monkeypatch):
    from protocols.running.stop import Stop

    register()
    stop, looks = Stop(), iter(range(60))
    monkeypatch.setattr(stop, "requested", lambda: next(looks, None) is None)
    run_cohort(request(tmp_path), stop=stop)
    origins = find_runs(tmp_path)[0].manifest["origins"]
    assert [origins[part]["module"] for part in ("agent", "suite", "protocol")] == ["tally_agent", "suites.probes", "protocols"]
    before, origin = records(tmp_path), code_identity.origin
    monkeypatch.setattr(
        code_identity, "origin", lambda module: origin(module) | ({"sha256": "f" * 64} if "tally" in module else {})
    )
    with pytest.raises(
        UserError, match=r"was started with the agent of .*here it comes from .*files ffffffffffff.*a run must keep its code"
    ):
        run_cohort(request(tmp_path))
    assert records(tmp_path) == before


@pytest.mark.parametrize(
    ("spoil", "rules"),
    [
        ({"commit": None}, {"commit"}),
        ({"commit": None, "source": {"package": "dreamer-bench", "version": "0", "sha256": "installed here"}}, set()),
        ({"commit": "a" * 40, "source": {"package": "dreamer-bench", "version": "0", "sha256": "of the commit"}}, set()),
        ({"commit": "a" * 40, "source": {"package": "dreamer-bench", "version": "0", "sha256": "other"}}, {"commit"}),
        ({"commit": None, "source": {"package": "dreamer-bench", "version": "0", "sha256": "other"}}, {"commit"}),
        ({"commit": None, "source": None}, {"record"}),
        ({"commit": "not-a-commit"}, {"commit"}),
        ({"dirty": None}, {"record"}),
        ({"origins": {}}, {"record"}),
        ({"origins": None}, {"record"}),
        ({"origins": dict.fromkeys(("agent", "suite", "protocol"), UNKNOWN)}, {"origin"}),
    ],
)
def test_validate_demands_code_that_others_can_have(tmp_path, monkeypatch, spoil, rules):
    monkeypatch.setattr("protocols.catalog.BUILT_IN", (PROBE,))
    here = code_identity.code() | {"source": {"package": "dreamer-bench", "version": "0", "sha256": "installed here"}}
    monkeypatch.setattr(code_identity, "code", lambda: here)
    monkeypatch.setattr(code_identity, "files_hash_of_commit", {"a" * 40: "of the commit"}.get)
    run = make_run(tmp_path, PROBE, agent="a", task="probe_count", seed=0, scores={0: [1.0], 800: [2.0]})
    (run.folder / "manifest.json").write_text(json.dumps(run.manifest | spoil))  # its own writer reads no record without source
    assert {violation.rule for violation in check(tmp_path)} & {"commit", "origin", "record"} == rules


@pytest.mark.parametrize(("schema", "expected"), [(1, False), (2, True)])
def test_leaving_out_which_files_ran_is_a_fault_from_schema_2_on(tmp_path, monkeypatch, schema, expected):
    monkeypatch.setattr("protocols.catalog.BUILT_IN", (PROBE,))
    monkeypatch.setattr(code_identity, "files_hash_of_commit", {}.get)
    run = make_run(tmp_path, PROBE, agent="a", task="probe_count", seed=0, scores={0: [1.0], 800: [2.0]})
    manifest = json.loads((run.folder / "manifest.json").read_text())
    del manifest["source"]
    (run.folder / "manifest.json").write_text(json.dumps(manifest | {"schema": schema}))
    faults = [violation.what for violation in check(tmp_path) if violation.rule == "commit"]
    assert any("record lacks the files that ran" in fault for fault in faults) == expected, faults
