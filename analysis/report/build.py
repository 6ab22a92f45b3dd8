"""Builds the report from records: one self-contained page, and the data behind every figure.

    out/index.html      contains its styles and figures and loads nothing
    out/summary.json    every number on the page
    out/<figure>.svg .png .csv    (one folder per protocol if there are several)

Everything is rendered before the first file is written, and the folder is exchanged as a whole, so half a report never exists.
The same records give the same bytes: the page has the time of its newest record, not of its creation.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypedDict

import jinja2

from analysis import pages
from analysis.figures import comparison
from analysis.report import facts
from analysis.report.page import Section
from analysis.report.section import file_section, repeat_section, run_section
from analysis.scores import from_runs, groups
from analysis.scores import table as tables
from analysis.scores.columns import refuse_clashes
from analysis.statistics import aggregate
from dreamer_bench_base import InvalidData, UserError, count
from dreamer_bench_files import exchange_folder
from dreamer_bench_json import check_shape, parse_json
from dreamer_bench_untrusted import MOST_FILE_BYTES, read_regular
from protocols import catalog
from protocols.records.places import holds_protocols

KIND, SCHEMA = "dreamer-bench report", 1
SUMMARY = "summary.json"


class Summary(TypedDict):
    """Fields of summary.json that identify a folder as a report."""

    kind: Literal["dreamer-bench report"]
    files: list[str]


def build(
    paths: Sequence[str | Path],
    out: Path,
    *,
    protocol: str | None = None,
    reps: int = aggregate.REPS,
    own_tasks: Sequence[str] = (),
) -> dict[str, Any]:
    """Writes the report of runs folders and score files and returns its summary (also in out/summary.json).

    protocol  report only records of this protocol: an id, or a user's own file

    Raises ValueError if a path is neither or has nothing to report, and `table.InvalidData` for unusable records.
    """
    _check_out(out)
    folders, files = comparison.split_paths(paths)
    runs = comparison.runs_of(folders)
    from_files, notes = tables.of_files(files, protocol=protocol, own_tasks=own_tasks)
    found = groups.chosen(groups.groups(runs), protocol)
    if not runs and not files:
        raise UserError(f"{', '.join(map(str, paths))} holds no run yet; start one with `dreamer-bench run quick@1`")
    if protocol is not None and not found:
        if files and catalog.id_of(protocol) not in set(from_files["protocol"]):
            catalog.find(protocol)  # refuses a name that is neither in the scores nor installed
        if from_files.empty:
            there = ", ".join(sorted({run.manifest["protocol"] for run in runs}))
            told = [f"it holds {there}" if there else "", *(line for lines in notes.values() for line in lines)]
            raise UserError(f"{', '.join(map(str, paths))} holds no run of {protocol}; {'; '.join(filter(None, told))}")
    found = sorted(
        found, key=lambda group: -len(group.counted)
    )  # the fullest table opens the page; groups of one size keep their order
    runs = [member.run for group in found for member in group.members]
    folders_read = facts.runs_folders(runs)
    named = {group.protocol for group in found}
    extra = [(str(name), part) for name, part in from_files.groupby("protocol")]
    several = len(found) + sum(name not in named for name, _ in extra) > 1
    sections = []
    for group in found:
        same = sum(other.protocol == group.protocol for other in found) > 1
        beside = next((part for name, part in extra if name == group.protocol), None)
        table = from_runs.read_runs([member.run for member in group.members if not member.limited])
        refuse_clashes(table)
        section = run_section(group, table, beside, folders_read, several=several, same=same, reps=reps)
        section.warnings += _sentences(notes.get(group.protocol, ()))
        sections.append(section.render())
    for name, part in extra:
        if name not in named:
            section = file_section(name, part, several=several, reps=reps)
            section.warnings[:0] = _sentences(notes.get(name, ()))
            sections.append(section.render())
    at_home = {*named, *(name for name, _ in extra)}
    sections[0].warnings += _sentences([line for name, lines in notes.items() if name not in at_home for line in lines])
    if len(family := groups.repeats(found)) > 1:
        sections.append(repeat_section(folders, [group.protocol for group in family], reps=reps).render())
    created = max((run.manifest["created"] for run in runs), default="")[:16].replace("T", " ")
    places = len(set(folders_read.values()))
    read = f"{count(len(runs), 'run')} in {count(places, 'folder')}, until {created} UTC" if runs else "from score files"
    return _write(out, sections, created=read, runs=len(runs))


def _sentences(notes: Sequence[str]) -> list[str]:
    return [f"{note}." for note in notes]


def _check_out(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {str(out)!r} is a file; give a folder for the report")
    if out.is_dir() and holds_protocols(out):
        raise UserError(f"--out {str(out)!r} is a runs folder; give another folder for the report")


def _write(out: Path, sections: Sequence[Section], *, created: str, runs: int) -> dict[str, Any]:
    if len(sections) == 1:
        headline, lead = sections[0].headline, sections[0].lead
    else:
        headline = _contents(sections, runs)
        lead = []
    templates = resources.files("analysis.report") / "templates"
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.ChainableUndefined)
    environment.filters["code"] = pages.with_code
    page = environment.from_string((templates / "report.html.j2").read_text(encoding="utf-8")).render(
        title=f"dreamer-bench: {', '.join(section.title.split(':')[0] for section in sections)}",
        headline=headline,
        lead=lead,
        created=created,
        sections=[asdict(section) for section in sections],
        css=pages.style_sheet(),
    )
    files = {name: content for section in sections for name, content in section.files.items()}
    summary = {
        "kind": KIND,
        "schema": SCHEMA,
        "created": created,
        "headline": headline,
        "runs": runs,
        "sections": [{"title": section.title, "warnings": section.warnings, **section.summary} for section in sections],
        "files": sorted([*files, "index.html", "summary.json"]),
    }
    clean = json.loads(json.dumps(summary, default=_plain), parse_constant=lambda _: None)
    files[SUMMARY] = (json.dumps(clean, indent=1, allow_nan=False) + "\n").encode()
    exchange_folder(out, {**files, "index.html": page.encode()}, listed)
    return clean


def _contents(sections: Sequence[Section], runs: int) -> str:
    """What a page of several sections holds, in a line."""
    recorded = sum("digest" in section.summary for section in sections)
    counted = [
        (recorded, "protocol", f", {count(runs, 'run')}"),
        (sum("files" in section.summary for section in sections), "score file set", ""),
    ]
    return " and ".join(f"{count(number_of, name)}{more}" for number_of, name, more in counted if number_of)


def listed(folder: Path) -> list[str] | None:
    """The files of the report in a folder; None if it has no report."""
    path = folder / SUMMARY
    try:
        summary = parse_json(read_regular(path), path, most_bytes=MOST_FILE_BYTES)
        check_shape(summary, Summary, path)
    except (FileNotFoundError, InvalidData):
        return None
    return list(summary["files"])


def _plain(value: Any) -> Any:
    """NumPy scalars as Python numbers."""
    return value.item() if hasattr(value, "item") else str(value)
