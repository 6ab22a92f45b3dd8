"""The leaderboard: submissions in, a static site out that works from the file system.

    site/index.html             every ranking, with filters
    site/<protocol>.html        one protocol: ranking, tasks, pairs, curves, entries
    site/<protocol>/*.svg, csv  its figures and their data
    site/records/<slug>/        the records themselves

Methods are ranked inside one protocol only, by IQM; where intervals cannot tell two apart they share a range of ranks.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import jinja2

from analysis.figures.style import short_count
from analysis.leaderboard import submissions
from analysis.leaderboard.board import board_of
from analysis.leaderboard.entries import Entry, entries_of
from analysis.leaderboard.submissions import Submission
from dreamer_bench_base import UserError, write_atomically

SITE = "site.json"


def build(root: Path, out: Path, *, reps: int = 20_000) -> list[str]:
    """Writes the site of a leaderboard folder and returns the names of its files.

    Raises InvalidData for a changed record; nothing of the old site is touched before the new one is rendered.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {str(out)!r} is a file; give a folder for the site")
    entries = [entry for submission in submissions.read_leaderboard(root) for entry in entries_of(submission)]
    by_protocol: dict[str, list[Entry]] = {}
    for entry in entries:
        by_protocol.setdefault(entry.protocol.id, []).append(entry)
    environment = _environment()
    files: dict[str, bytes] = {}
    boards = []
    for _, members in sorted(by_protocol.items()):
        board, made = board_of(members, reps)
        boards.append(board)
        files |= made
        files[f"{board['anchor']}.html"] = environment.get_template("leaderboard_protocol.html.j2").render(board=board).encode()
    for submission in {entry.submission.slug: entry.submission for entry in entries}.values():
        files |= _records(submission, environment)
    page = environment.get_template("leaderboard.html.j2").render(
        boards=boards,
        budgets=sorted({board["budget_env_steps"] for board in boards}),
        inputs=sorted({entry.submission.input for entry in entries}),
        short_count=short_count,
    )
    _write(out, files, page.encode())
    return sorted([*files, "index.html", SITE])


def _records(submission: Submission, environment: jinja2.Environment) -> dict[str, bytes]:
    """The evidence as it was submitted, and a page that lists it with its hashes."""
    base = f"records/{submission.slug}"
    hashes = submission.hashes()
    files = {f"{base}/{name}": (submission.folder / name).read_bytes() for name in hashes}
    page = environment.get_template("leaderboard_records.html.j2").render(submission=submission, hashes=hashes)
    return {**files, f"{base}/index.html": page.encode()}


def _environment() -> jinja2.Environment:
    templates = resources.files("analysis.leaderboard") / "templates"

    def load(name: str) -> str:
        return (templates / name).read_text(encoding="utf-8")

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(load),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    shared = (resources.files("analysis") / "page.css").read_text(encoding="utf-8")
    environment.globals.update(css=shared + load("leaderboard.css"), script=load("leaderboard.js"))
    return environment


def _write(out: Path, files: dict[str, bytes], page: bytes) -> None:
    """Writes the site, its first page last, and takes away what an earlier build wrote and this one does not."""
    names = sorted([*files, "index.html", SITE])
    old: list[str] = []
    if (out / SITE).is_file():
        old = json.loads((out / SITE).read_text(encoding="utf-8"))["files"]
    elif out.is_dir() and any(out.iterdir()):
        raise UserError(f"--out {str(out)!r} is not empty and no site of an earlier build; give a new folder")
    for name, content in files.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out / name, content)
    write_atomically(out / SITE, (json.dumps({"files": names}, indent=1) + "\n").encode())
    write_atomically(out / "index.html", page)
    for name in set(old) - set(names):
        if ".." not in Path(name).parts and not Path(name).is_absolute():
            (out / name).unlink(missing_ok=True)
