"""The doctor names what keeps a run from starting, and the line that mends it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from protocols.costs import doctor


def test_the_tested_set_is_read_from_the_constraints_file():
    lines = (doctor.ROOT / "constraints.txt").read_text().splitlines()
    tested = doctor.versions_of_record()
    for package in ("mujoco", "rliable"):
        assert f"{package}=={tested[package]}" in [line.split()[0] for line in lines if line]


def test_a_missing_package_is_bad_and_a_differing_one_is_a_note(monkeypatch):
    monkeypatch.setattr(doctor, "required", lambda: [("mujoco", ">=3.17,<4"), ("no-such-package", ">=1")])
    monkeypatch.setattr(doctor, "versions_of_record", lambda: {"mujoco": "0.0.1"})
    missing, differing = doctor.packages()
    assert (missing.state, missing.found) == ("bad", "no-such-package is missing")
    assert "pip install" in missing.cure
    assert differing.state == "note"
    assert "tested 0.0.1" in differing.found


def test_a_package_that_shadows_ours_is_found(tmp_path):
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "__init__.py").write_text("")
    code = "from protocols.costs import doctor; f = doctor.shadowing(); print(f.state, f.found)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": f"{tmp_path}:{doctor.ROOT}", "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
    )
    assert done.stdout.startswith("bad `import agents` finds"), done.stdout


def test_a_folder_of_one_of_our_names_in_the_current_folder_is_a_note(tmp_path, monkeypatch):
    (tmp_path / "agents").mkdir()
    monkeypatch.chdir(tmp_path)
    finding = doctor.shadowing()
    assert finding.state == "note"
    assert str(tmp_path / "agents") in finding.found


def test_too_little_memory_or_disk_keeps_a_run_from_starting(tmp_path, monkeypatch):
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    1000000 kB\n")
    assert doctor.memory(tmp_path / "meminfo").state == "bad"
    monkeypatch.setattr(doctor, "DISK_BYTES", 10**18)
    assert doctor.disk(tmp_path / "not" / "yet" / "there").state == "bad"


def test_rendering_really_renders_and_names_its_renderer():
    finding = doctor.renderer()
    assert finding.state == "ok", finding
    assert "ms" in finding.found


def test_no_renderer_is_one_line_with_the_cure():
    code = "from protocols.costs import doctor; f = doctor.renderer(); print(f.state, f.found, '|', f.cure)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(doctor.ROOT),
        env={"MUJOCO_GL": "no-such-backend", "PATH": "/usr/bin:/bin"},
    )
    assert done.stdout.startswith("bad "), done.stdout
    assert len(done.stdout.splitlines()) == 1
