"""Builds the leaderboard's static site from submissions. The site works from the file system.

    site/index.html             every ranking, with filters
    site/<protocol>.html        one protocol: ranking, tasks, pairs, curves, entries
    site/<protocol>/*.svg, csv  its figures and their data
    site/records/<slug>/        the records themselves

Methods are ranked only within a protocol, by IQM. If intervals cannot distinguish two methods, they share a range of ranks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TypedDict

import jinja2

from analysis import pages
from analysis.figures.style import short_count
from analysis.leaderboard import submissions
from analysis.leaderboard.board import board_of
from analysis.leaderboard.entries import Entry, entries_of
from analysis.leaderboard.submissions import Submission
from dreamer_bench_base import InvalidData, UserError, count
from dreamer_bench_files import exchange_folder
from dreamer_bench_json import check_shape, parse_json
from dreamer_bench_untrusted import read_regular

SITE = "site.json"
CHECK_REPS = 100
"""Resamples for testing a submission, enough to draw everything once."""


class Listing(TypedDict):
    """site.json: the files of the site."""

    files: list[str]


@dataclass(frozen=True, kw_only=True)
class Built:
    """What was written, and the submissions that were left out: folder name -> line with the reason."""

    files: list[str]
    left_out: dict[str, str]


def build(root: Path, out: Path, *, reps: int = 20_000) -> Built:
    """Writes the site of a leaderboard folder. Leaves out submissions that changed after they were added, and shows the others.

    Raises InvalidData if none is left. The site is exchanged as a whole; until then the old one does not change.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {str(out)!r} is a file; give a folder for the site")
    found, left_out = submissions.read_leaderboard(root, entries_of)
    shown = _without_clashes(found, left_out)
    if not shown:
        raise InvalidData(f"{root} holds no submission to show: {'; '.join(left_out.values())}")
    environment = _environment()
    files: dict[str, bytes | Callable[[], bytes]] = {}
    boards = []
    for members in _by_protocol(shown):
        board, made = board_of(members, reps)
        boards.append(board)
        files |= made
        files[f"{board['anchor']}.html"] = environment.get_template("leaderboard_protocol.html.j2").render(board=board).encode()
    for submission in {entry.submission.slug: entry.submission for entry in shown}.values():
        files |= _records(submission, environment)
    files["index.html"] = (
        environment.get_template("leaderboard.html.j2")
        .render(
            boards=boards,
            budgets=sorted({board["budget_env_steps"] for board in boards}),
            inputs=sorted({entry.submission.input_of(entry.protocol.id) for entry in shown}),
            short_count=short_count,
            left_out=sorted(left_out),
        )
        .encode()
    )
    names = sorted([*files, SITE])
    files[SITE] = (json.dumps({"files": names}, indent=1) + "\n").encode()
    exchange_folder(out, files, listed)
    return Built(files=names, left_out=left_out)


def check_shown(submission: Submission, root: Path) -> None:
    """Raises UserError if `build` could not show a submission together with those of the leaderboard `root`."""
    entries = entries_of(submission)
    for members in _by_protocol(entries):
        board_of(members, CHECK_REPS)
    taken = {name: slug for slug, names in submissions.names_of_others(root) for name in names}
    for entry in entries:
        _refuse_double(entry, taken)


def listed(folder: Path) -> list[str] | None:
    """The files of the site in a folder; None if it has no site."""
    path = folder / SITE
    try:
        listing = parse_json(read_regular(path), path)
        check_shape(listing, Listing, path)
    except (FileNotFoundError, InvalidData):
        return None
    return list(listing["files"])


def _by_protocol(entries: Sequence[Entry]) -> list[list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.protocol.id, []).append(entry)
    return [members for _, members in sorted(found.items())]


def _without_clashes(found: Sequence[Sequence[Entry]], left_out: dict[str, str]) -> list[Entry]:
    """The rows of the submissions. A submission with a row name that another one has is left out, with a line."""
    shown: list[Entry] = []
    taken: dict[tuple[str, str], str] = {}
    for entries in found:
        slug = entries[0].submission.slug
        try:
            for entry in entries:
                _refuse_double(entry, taken)
        except UserError as error:
            left_out[slug] = str(error)
            continue
        shown += entries
        taken |= {(entry.protocol.id, entry.method): slug for entry in entries}
    return shown


def _refuse_double(entry: Entry, taken: Mapping[tuple[str, str], str]) -> None:
    """Raises UserError if another submission has a row with this name. taken: (protocol, method) -> submission"""
    other = taken.get((entry.protocol.id, entry.method))
    if other is not None:
        raise UserError(
            f"two entries of {entry.protocol.id} are named {entry.method!r}, that of {entry.submission.slug!r} and that of "
            f"{other!r}; change the name on one card"
        )


def _records(submission: Submission, environment: jinja2.Environment) -> dict[str, bytes | Callable[[], bytes]]:
    """The records as they were submitted, and a page that lists them with their hashes."""
    base = f"records/{submission.slug}"
    files = {f"{base}/{name}": partial(submission.content, name) for name in submission.hashes}
    page = environment.get_template("leaderboard_records.html.j2").render(submission=submission, hashes=submission.hashes)
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
    environment.filters["code"] = pages.with_code
    environment.globals.update(count=count, css=pages.style_sheet() + load("leaderboard.css"), script=load("leaderboard.js"))
    return environment
