"""Notes in a wheel the commit that it was built from, so that its runs name one. All else is in pyproject.toml."""

import json
import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
NOTE = Path("protocols", "records", "built_from.json")
"""Read by protocols/records/code_identity.py; an archive of sources carries it on into the wheel that is built from it."""
BUILT = ("agents", "analysis", "protocols", "suites", "pyproject.toml", ":(top,glob)*.py", ":(exclude,glob)**/*.egg-info/**")


def _git(*arguments):
    try:
        return subprocess.run(("git", "-C", HERE, *arguments), capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _note(folder):
    """Writes the note below `folder`, where the files to build are those of a commit."""
    if (HERE / ".git").exists():
        commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=all", "--", *BUILT)
        text = json.dumps({"commit": commit}) + "\n" if commit and changes == "" else None
    else:
        text = (HERE / NOTE).read_text() if (HERE / NOTE).is_file() else None
    target = Path(folder) / NOTE
    target.unlink(missing_ok=True)  # of an earlier build in the same folder
    if text is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


class BuildPy(build_py):
    def run(self):
        super().run()
        if not self.editable_mode:
            _note(self.build_lib)


class Sdist(sdist):
    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        _note(base_dir)


setup(cmdclass={"build_py": BuildPy, "sdist": Sdist})
