"""Which code made a record: commit and hash of this project's files, and of every package that provides a part of a run."""

from __future__ import annotations

import base64
import importlib.util
import json
import subprocess
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from functools import lru_cache
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import TypedDict

from dreamer_bench_base import UserError
from dreamer_bench_files import sha256
from protocols.records.machine import version_of
from protocols.records.schema import Origin, Source

SOURCE = Path(__file__).resolve().parents[2]
PROJECT = "dreamer-bench"
ROOMS = ("agents", "analysis", "protocols", "suites")
BUILT_FROM = Path("protocols", "records", "built_from.json")
"""In a wheel: {"commit": the commit from which it was built}. setup.py writes it only if the files are those of the commit."""

IMPORTABLE = (
    *(f":(top,glob){name}/**/*.py" for name in ROOMS),
    *(":(top,glob)*.py", ":(top)pyproject.toml", ":(top)constraints.txt"),
)
"""Files whose change makes a checkout differ from its commit: those that can be imported, and those that name packages."""

LEFTOVERS = (":(exclude,glob)**/*.egg-info/**", ":(exclude,glob)**/__pycache__/**")
"""Files that pip and Python write into a package's folder. They change no code, and new repositories seldom ignore them."""


class Code(TypedDict):
    """This project's own code, as a manifest and every session record it."""

    commit: str | None
    dirty: bool
    source: Source


def code() -> Code:
    """The code that runs here: commit of the checkout, or what a wheel installed, and in both cases the hash of the files.

    A checkout counts as changed if git fails or takes too long.
    """
    source: Source = {"package": PROJECT, "version": version_of(PROJECT), "sha256": files_hash(SOURCE, own_files(SOURCE))}
    if (SOURCE / ".git").exists():
        head = git(SOURCE, "rev-parse", "HEAD")
        status = git(SOURCE, "status", "--porcelain", "--untracked-files=all", "--", *IMPORTABLE)
        return {"commit": head, "dirty": head is None or status is None or bool(status), "source": source}
    return {"commit": _built_from(SOURCE / BUILT_FROM), "dirty": _differs_from_wheel(), "source": source}


def _built_from(note: Path) -> str | None:
    """The commit from which a wheel was built; None if it was built from changed files, or outside a checkout."""
    if not note.is_file():
        return None
    try:
        commit = json.loads(note.read_bytes())["commit"]
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{note} is damaged; install dreamer-bench again") from None
    return str(commit)


@lru_cache(maxsize=256)
def files_hash_of_commit(commit: str) -> str | None:
    """`files_hash` of this project's files in a commit; None if no checkout here has that commit.

    It makes the runs of a wheel verifiable: anyone with the history can check that the recorded files are those of the commit.
    """
    if not (SOURCE / ".git").exists():
        return None
    listed = git(SOURCE, "ls-tree", "-r", "-z", "--full-tree", f"{commit}^{{commit}}")
    if listed is None:
        return None
    blobs = {}
    for entry in listed.rstrip("\0").split("\0"):
        kind, name = entry.split("\t", 1)
        room = name.partition("/")[0] if name.endswith(".py") else ""
        if room in ROOMS or (room == name and fnmatch(name, "dreamer_bench*")):
            blobs[PurePosixPath(name)] = kind.split()[2]
    paths = sorted(blobs)
    done = subprocess.run(
        ("git", "--no-optional-locks", "-C", str(SOURCE), "cat-file", "--batch"),
        input="".join(f"{blobs[path]}\n" for path in paths).encode(),
        capture_output=True,
        check=True,
    )
    lines, at = [], 0
    for path in paths:
        header_end = done.stdout.index(b"\n", at)
        size = int(done.stdout[at:header_end].split()[2])
        at = header_end + 1
        lines.append(f"{path} {sha256(done.stdout[at : at + size])}\n")
        at += size + 1
    return sha256("".join(lines).encode())


def own_files(root: Path) -> list[Path]:
    """Every Python file of this project below `root`, a checkout or site-packages."""
    return sorted(
        [
            *(path for name in ROOMS for path in (root / name).rglob("*.py")),
            *root.glob("dreamer_bench*.py"),
        ]
    )


def files_hash(root: Path, files: Iterable[Path]) -> str:
    """One hash for a list of files: SHA-256 over one line "<path below root> <SHA-256 of the file>" per file, in order."""
    lines = [f"{path.relative_to(root).as_posix()} {sha256(path)}\n" for path in files]
    return sha256("".join(lines).encode())


def origin(module: str) -> Origin:
    """The package of a module: name, version, commit if one is known, and the hash of its Python files.

    module  import path; it is looked up but not imported. Of this project's own protocols only the frozen values are hashed,
            because the loop below them may be repaired during a run, and every session names its commit.
    Raises UserError if there is no such module.
    """
    top = module.split(".")[0]
    found = importlib.util.find_spec(top)
    if found is None:
        raise UserError(f"module {module!r} is not installed; install the package that brings it")
    folders = [Path(folder).resolve() for folder in found.submodule_search_locations or ()]
    if folders:
        pattern = "*.py" if top == "protocols" and folders[0] == SOURCE / "protocols" else "**/*.py"
        root, files = folders[0].parent, sorted(path for folder in folders for path in folder.glob(pattern))
    else:
        files = [Path(str(found.origin)).resolve()]
        root = files[0].parent
    package, version, commit, dirty = _distribution(top, root, files)
    return {
        "module": module,
        "package": package,
        "version": version,
        "commit": commit,
        "dirty": dirty,
        "sha256": files_hash(root, files),
    }


def _distribution(top: str, root: Path, files: Sequence[Path]) -> tuple[str | None, str | None, str | None, bool]:
    """(package, version, commit, dirty) of the distribution that installed a top-level module."""
    if root == SOURCE:
        own = code()
        return PROJECT, own["source"]["version"], own["commit"], own["dirty"]
    package = next(iter(metadata.packages_distributions().get(top, ())), None)
    version = None if package is None else version_of(package)
    noted = None if package is None else metadata.distribution(package).read_text("direct_url.json")
    commit = json.loads(noted).get("vcs_info", {}).get("commit_id") if noted else None
    if commit is not None:
        return package, version, commit, False
    head = git(root, "rev-parse", "HEAD")
    if head is None or not git(root, "ls-files", "--", str(files[0])):
        return package, version, None, False
    places = map(str, {path.parent for path in files})
    status = git(root, "status", "--porcelain", "--untracked-files=all", "--", *places, *LEFTOVERS)
    return package, version, head, status is None or bool(status)


def _differs_from_wheel() -> bool:
    """Whether files of an installed wheel differ from those that it installed. An unpacked copy without pip's list of files
    never differs; the hash of its files identifies it."""
    try:
        brought = metadata.distribution(PROJECT).files or ()
    except metadata.PackageNotFoundError:
        return False
    noted = {Path(str(file.locate())).resolve(): file.hash for file in brought if file.hash is not None}
    mine = own_files(SOURCE)
    if not any(path in noted for path in mine):
        return False
    return any(path not in noted or not _matches(path, str(noted[path].value)) for path in mine)


def _matches(path: Path, expected: str) -> bool:
    """Whether a file has its hash in RECORD: SHA-256 in URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(bytes.fromhex(sha256(path))).rstrip(b"=").decode() == expected


def git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ("git", "--no-optional-locks", "-C", str(folder), *arguments),
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
