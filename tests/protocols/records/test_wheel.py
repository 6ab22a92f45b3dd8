"""What a pip user has: a wheel built from a commit, installed, names that commit; a maintainer with the history verifies it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]
BUILT = ("agents", "analysis", "protocols", "suites")
TOLD = "import json; from protocols.records import code_identity as p; print(json.dumps([str(p.SOURCE), p.code()]))"
JUDGED = (
    "import json, sys; from protocols.records import code_identity, validate_code; "
    "print(json.dumps([str(code_identity.SOURCE), validate_code._code_fault(json.loads(sys.argv[1]), 2)]))"
)
"""Run below a folder, so that its modules are the ones imported."""


def call(folder, *arguments):
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *map(str, arguments)], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def git(folder, *arguments):
    name = ("-c", "user.name=a", "-c", "user.email=a@b")
    return subprocess.run(["git", "-C", folder, *name, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def build_and_install(checkout, folder):
    """What `pip install CHECKOUT` does, in its two steps, offline."""
    wheels, site = folder / "wheels", folder / "site"
    wheels.mkdir(parents=True)
    call(checkout, "-c", f"from setuptools import build_meta; build_meta.build_wheel({str(wheels)!r})")
    (wheel,) = wheels.glob("dreamer_bench-*.whl")
    call(folder, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-compile", "--target", site, wheel)
    return site


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """This project's files as they are now, as the one commit of a checkout of its own."""
    if not (PROJECT / ".git").exists():
        pytest.skip("needs a git checkout of the project")
    pytest.importorskip("pip")
    folder = tmp_path_factory.mktemp("checkout")
    listed = git(
        PROJECT, "ls-files", "-co", "--exclude-standard", "--", *BUILT, "*.py", "pyproject.toml", "README.md", "LICENSE"
    )
    for name in listed.splitlines():
        if not name.startswith(("tests/", "examples/", "docs/")) and (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PROJECT / name, folder / name)
    (folder / ".gitignore").write_text("/build/\n*.egg-info/\n__pycache__/\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


@pytest.fixture(scope="module")
def site(checkout, tmp_path_factory):
    return build_and_install(checkout, tmp_path_factory.mktemp("installed"))


def test_a_run_of_an_installed_wheel_names_the_commit_it_was_built_from_and_is_verified_against_it(checkout, site):
    runs = site.parent / "runs"
    asked = ("small@1", "--agents", "random", "--tasks", "gym:Pendulum-v1", "--seeds", "0", "--limit", "200")
    call(site, "-m", "dreamer_bench", "run", *asked, "--runs", runs, "--device", "cpu")
    (path,) = runs.rglob("manifest.json")
    manifest = json.loads(path.read_text())
    assert (manifest["commit"], manifest["dirty"]) == (git(checkout, "rev-parse", "HEAD"), False)
    assert manifest["origins"]["agent"]["commit"] == manifest["commit"]
    assert json.loads(call(checkout, "-c", JUDGED, json.dumps(manifest))) == [str(checkout), None]


def test_files_changed_after_the_installation_are_seen_there_and_with_a_forged_list_by_who_has_the_history(
    checkout, site, tmp_path
):
    changed = tmp_path / "site"
    shutil.copytree(site, changed)
    file = changed / "protocols" / "spec.py"
    file.write_text(file.read_text() + "\nCHANGED = True\n")
    where, code = json.loads(call(changed, "-c", TOLD))
    assert where == str(changed)
    assert code["dirty"] is True
    (record,) = changed.glob("dreamer_bench-*.dist-info/RECORD")
    digest = base64.urlsafe_b64encode(hashlib.sha256(file.read_bytes()).digest()).rstrip(b"=").decode()
    lines = [
        f"protocols/spec.py,sha256={digest},{file.stat().st_size}" if line.startswith("protocols/spec.py,") else line
        for line in record.read_text().splitlines()
    ]
    record.write_text("\n".join(lines) + "\n")
    forged = json.loads(call(changed, "-c", TOLD))[1]
    assert (forged["dirty"], forged["commit"]) == (False, git(checkout, "rev-parse", "HEAD"))
    fault = json.loads(call(checkout, "-c", JUDGED, json.dumps(forged)))[1]
    assert f"are not those of commit {forged['commit'][:12]}" in fault


def test_a_wheel_built_from_changed_files_names_no_commit_and_its_runs_are_refused(checkout, tmp_path):
    copy = tmp_path / "checkout"
    shutil.copytree(checkout, copy)
    (copy / "protocols" / "new.py").write_text("X = 1\n")
    site = build_and_install(copy, tmp_path)
    code = json.loads(call(site, "-c", TOLD))[1]
    assert (code["commit"], code["dirty"]) == (None, False)
    assert "names no commit" in json.loads(call(checkout, "-c", JUDGED, json.dumps(code)))[1]
