"""The Python versions that are promised are those that CI runs, wherever they are named."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml
from packaging.specifiers import SpecifierSet

from protocols.costs import doctor

ROOT = Path(__file__).resolve().parents[1]
NEAR = [f"3.{minor}" for minor in range(8, 20)]


def test_pyproject_readme_doctor_and_ci_name_the_same_versions_of_python():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    promised = [version for version in NEAR if version in SpecifierSet(project["requires-python"])]
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert workflow["jobs"]["gate"]["strategy"]["matrix"]["python"] == promised
    (sentence,) = re.findall(r"Requirements: Linux, Python ([^(]*)\(", (ROOT / "README.md").read_text())
    assert re.findall(r"3\.\d+", sentence) == promised
    known = [f"3.{minor}" for minor in range(doctor.OLDEST_PYTHON[1], doctor.FIRST_UNSUPPORTED[1])]
    assert known == promised
