"""The leaderboard: submissions in, a static site out that works from the file system.

    site/index.html             every ranking, with filters
    site/<protocol>.html        one protocol: ranking, tasks, pairs, curves, entries
    site/<protocol>/*.svg, csv  its figures and their data
    site/records/<slug>/        the records themselves

Methods are ranked inside one protocol only, by IQM; where intervals cannot tell two apart they share a range of ranks.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from analysis import aggregate, material, submissions
from analysis import table as tables
from analysis.figures import curves, efficiency, intervals
from analysis.figures.drawing import Drawing, csv_text, svg_text, write_atomically
from analysis.material import Material
from analysis.provenance import counted
from analysis.style import number, short_count, task_label
from analysis.submissions import RUNS, Submission
from protocols import catalog
from protocols.spec import Protocol, digest
from protocols.store import Run, find_runs

SITE = "site.json"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row: a submission under one protocol (and one label, where its runs have several).

    method    its name in tables and figures, unique inside the protocol
    diverged  runs whose loss was not finite: they have no score, so the row says how many there are
    """

    submission: Submission
    protocol: Protocol
    method: str
    table: pd.DataFrame
    scores: pd.DataFrame
    facts: list[tuple[str, str]] = field(default_factory=list)
    diverged: int = 0

    @property
    def complete(self) -> bool:
        return set(self.scores["task"]) >= set(self.protocol.tasks)


def build(root: Path, out: Path, *, reps: int = 20_000) -> list[str]:
    """Writes the site of a leaderboard folder and returns the names of its files.

    Raises InvalidData for a changed record; nothing of the old site is touched before the new one is rendered.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {str(out)!r} is a file; give a folder for the site")
    entries = [entry for submission in submissions.read_leaderboard(root) for entry in entries_of(submission)]
    by_protocol: dict[str, list[Entry]] = {}
    for entry in entries:
        by_protocol.setdefault(entry.protocol.id, []).append(entry)
    environment = _environment()
    files: dict[str, bytes] = {}
    boards = []
    for _, members in sorted(by_protocol.items()):
        board, made = _board(members, reps)
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


def entries_of(submission: Submission) -> list[Entry]:
    """The rows of one submission: one for imported scores, else one per protocol and label."""
    if submission.imported is not None:
        protocol = submissions.imported_protocol(submission)
        table = submissions.imported_table(submission)
        selection = submissions.imported_selection(table, protocol)
        facts = [
            ("Origin", "imported: published by others, not run under this protocol's loop"),
            ("Source", submission.imported["source"]),
            ("Licence", submission.imported["licence"]),
            ("Score of a run", selection.rule),
        ]
        if len(selection.left_out):
            short = "; ".join(f"{row.task}, seed {row.seed} at {row.env_steps:,}" for row in selection.left_out.itertuples())
            facts.append(("Left out", f"runs that stop short of {protocol.env_steps:,} env steps: {short}"))
        return [
            Entry(
                submission=submission,
                protocol=protocol,
                method=submission.name,
                table=table,
                scores=selection.scores,
                facts=facts,
            )
        ]
    folder = submission.folder / RUNS
    by_label: dict[tuple[str, str], list[Run]] = {}
    for run in find_runs(folder):
        by_label.setdefault((run.manifest["protocol"], run.manifest["label"]), []).append(run)
    labels = {label for _, label in by_label}
    found = []
    for (id, label), runs in sorted(by_label.items()):
        protocol = catalog.find(id)
        table = tables.read([folder], protocol=id)
        name = submission.name if len(labels) == 1 else f"{submission.name} {label}"
        table = table[table["method"] == label].assign(method=name).reset_index(drop=True)
        selection = tables.select(table, rule=protocol.score_rule, at=protocol.env_steps, short="drop")
        found.append(
            Entry(
                submission=submission,
                protocol=protocol,
                method=name,
                table=table,
                scores=selection.scores,
                facts=_run_facts(runs),
                diverged=sum(run.state() == "diverged" for run in runs),
            )
        )
    return found


def _run_facts(runs: Sequence[Run]) -> list[tuple[str, str]]:
    manifests = [run.manifest for run in runs]
    diverged = [run for run in runs if run.state() == "diverged"]
    options = ", ".join(f"{key}={value}" for key, value in manifests[0]["overrides"].items())
    facts = [
        ("Origin", "recorded by this benchmark and checked"),
        ("Agent", manifests[0]["agent"] + (f" with {options}" if options else "")),
        ("Code", counted(f"commit {manifest['commit'][:12]}" for manifest in manifests)),
        ("Simulators", counted(_simulators(manifest) for manifest in manifests)),
    ]  # fmt: skip
    if diverged:
        facts.append(("Diverged", f"{len(diverged)} of {len(runs)} runs"))
    return facts


def _simulators(manifest: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {manifest['packages'].get(name, 'unknown')}" for name in sorted(manifest["protocol_data"]["simulators"])
    )


# ---------------------------------------------------------------- one protocol


def _board(entries: list[Entry], reps: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    protocol = entries[0].protocol
    names = [entry.method for entry in entries]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"two entries of {protocol.id} are named {twice!r}; change the name on one card")
    anchor = re.sub(r"[^a-z0-9]+", "-", protocol.id).strip("-")
    ranked = [entry for entry in entries if entry.complete]
    partial = [entry for entry in entries if not entry.complete]
    subject = _subject(protocol, ranked or entries, reps)
    files: dict[str, bytes] = {}
    drawings = []
    rows: list[dict[str, Any]] = []
    pairs: dict[str, Any] = {}
    if ranked:
        estimates = intervals.estimate_table(
            aggregate.estimates(subject.normalized, reps=reps, metrics=_metrics(subject), single_seed="refuse")
        )
        ranks = aggregate.rank_ranges(subject.normalized, reps=reps)
        rows = [_row(subject, entry_of(ranked, rank.method), rank, estimates) for rank in ranks.itertuples()]
        order = [row["method"] for row in rows]
        pairs = _pairs(subject, order, reps)
        drawings.append(intervals.aggregates(subject))
        drawings.append(efficiency.efficiency(subject))
    drawings.append(curves.curves(_subject(protocol, entries, reps)))
    figures = [_figure(drawing, anchor, files) for drawing in drawings]
    everyone = _subject(protocol, entries, reps)
    board = {
        "id": protocol.id,
        "anchor": anchor,
        "title": protocol.title,
        "purpose": protocol.purpose,
        "digest": digest(protocol),
        "budget_env_steps": protocol.env_steps,
        "budget": short_count(protocol.env_steps),
        "tasks": len(protocol.tasks),
        "unit": intervals.axis_label(subject),
        "metrics": [intervals.METRIC_TITLES[metric] for metric in _metrics(subject)],
        "rows": rows,
        "partial": [_partial(everyone, entry) for entry in partial],
        "pairs": pairs,
        "per_task": _per_task(everyone, [row["method"] for row in rows] + [entry.method for entry in partial], reps),
        "figures": figures,
        "note": aggregate.small_sample_note(subject.scores),
        "entries": [_card(entry) for entry in sorted(entries, key=lambda entry: entry.method.lower())],
        "reps": reps,
    }
    return board, files


def entry_of(entries: Sequence[Entry], method: str) -> Entry:
    return next(entry for entry in entries if entry.method == method)


def _metrics(subject: Material) -> tuple[Any, ...]:
    return aggregate.METRICS if subject.normalization != "none" else aggregate.METRICS[:3]


def _subject(protocol: Protocol, entries: Sequence[Entry], reps: int) -> Material:
    """The entries of one protocol as one comparison; imported scores come by their own rule, which their facts name."""
    scores = pd.concat([entry.scores for entry in entries], ignore_index=True)
    left_out = scores.iloc[:0][["method", "task", "seed", "env_steps"]]
    selection = tables.Selection(
        scores=scores, left_out=left_out, rule="each entry's rule is on its card", budget_env_steps=protocol.env_steps
    )
    kept = set(scores[["method", "task", "seed"]].astype(str).itertuples(index=False, name=None))
    table = pd.concat([entry.table for entry in entries], ignore_index=True)
    table = table[[key in kept for key in table[["method", "task", "seed"]].astype(str).itertuples(index=False, name=None)]]
    table = table[table["env_steps"] <= protocol.env_steps * 1.02].reset_index(drop=True)
    return Material(
        title=protocol.id,
        table=table,
        selection=selection,
        normalization=protocol.normalization,
        published=material.published_for([]),
        reps=reps,
    )


def _row(subject: Material, entry: Entry, rank: Any, estimates: pd.DataFrame) -> dict[str, Any]:
    mine = {row.metric: row for row in estimates[estimates["method"] == entry.method].itertuples()}
    first = mine["iqm"]
    digits = 1 if subject.normalization == "none" else 3
    low, high = int(rank.rank_low), int(rank.rank_high)
    seeds = f"{first.seeds_min}" if first.seeds_min == first.seeds_max else f"{first.seeds_min}–{first.seeds_max}"
    return {
        **_common(subject, entry),
        "rank": str(low) if low == high else f"{low}–{high}",
        "rank_sort": low + high / 1000,
        "values": [
            {
                "text": number(row.point, digits),
                "interval": f"{number(row.low, digits)} to {number(row.high, digits)}",
                "sort": row.point,
            }
            for row in mine.values()
        ],
        "seeds": seeds,
        "seeds_sort": first.seeds_min,
    }


def _common(subject: Material, entry: Entry) -> dict[str, Any]:
    return {
        "method": entry.method,
        "slug": entry.submission.slug,
        "color": subject.looks([entry.method])[entry.method].color,
        "input": entry.submission.input,
        "budget_env_steps": entry.protocol.env_steps,
        "diverged": entry.diverged,
        "origin": "imported" if entry.submission.imported is not None else "recorded",
        "paper": entry.submission.paper,
        "code": entry.submission.code,
    }


def _partial(subject: Material, entry: Entry) -> dict[str, Any]:
    return {**_common(subject, entry), "tasks": entry.scores["task"].nunique()}


def _pairs(subject: Material, order: Sequence[str], reps: int) -> dict[str, Any]:
    """P(row beats column) for every pair, best first."""
    found: dict[tuple[str, str], aggregate.Estimate] = {}
    for first, second in itertools.combinations(order, 2):
        found[first, second] = aggregate.improvement(subject.scores, first, second, reps=reps)
    rows = []
    for first in order:
        cells: list[dict[str, Any] | None] = []
        for second in order:
            if first == second:
                cells.append(None)
                continue
            turned = (first, second) not in found
            estimate = found[second, first] if turned else found[first, second]
            point, low, high = (
                (1 - estimate.point, 1 - estimate.high, 1 - estimate.low)
                if turned
                else (estimate.point, estimate.low, estimate.high)
            )
            verdict = "better" if low > 0.5 else "worse" if high < 0.5 else "open"
            cells.append({"text": f"{point:.2f}", "interval": f"{low:.2f} to {high:.2f}", "verdict": verdict})
        rows.append({"method": first, "cells": cells})
    return {"columns": list(order), "rows": rows}


def _per_task(subject: Material, order: Sequence[str], reps: int) -> dict[str, Any]:
    data = intervals.task_estimates(subject.scores, reps)
    cells = {(row.task, row.method): row for row in data.itertuples()}
    rows = []
    for task in sorted(data["task"].unique()):
        values = []
        for method in order:
            cell = cells.get((task, method))
            interval = "" if cell is None or cell.low != cell.low else f"{number(cell.low)} to {number(cell.high)}"
            values.append({"text": "–" if cell is None else number(cell.point), "interval": interval})
        rows.append({"task": task_label(task), "cells": values})
    return {"columns": list(order), "rows": rows}


def _card(entry: Entry) -> dict[str, Any]:
    submission = entry.submission
    return {
        "method": entry.method,
        "slug": submission.slug,
        "authors": ", ".join(submission.authors),
        "paper": submission.paper,
        "code": submission.code,
        "note": submission.note,
        "input": submission.input,
        "facts": entry.facts,
        "runs": len(entry.scores),
    }


def _figure(drawing: Drawing, anchor: str, files: dict[str, bytes]) -> dict[str, str]:
    svg = svg_text(drawing, prefix=f"{anchor}-")
    files[f"{anchor}/{drawing.name}.svg"] = svg.encode()
    files[f"{anchor}/{drawing.name}.csv"] = csv_text(drawing.data).encode()
    return {"title": drawing.title, "caption": drawing.caption, "svg": svg, "csv": f"{anchor}/{drawing.name}.csv"}


# ---------------------------------------------------------------- writing


def _records(submission: Submission, environment: jinja2.Environment) -> dict[str, bytes]:
    """The evidence as it was submitted, and a page that lists it with its hashes."""
    base = f"records/{submission.slug}"
    hashes = submission.hashes()
    files = {f"{base}/{name}": (submission.folder / name).read_bytes() for name in hashes}
    page = environment.get_template("leaderboard_records.html.j2").render(submission=submission, hashes=hashes)
    return {**files, f"{base}/index.html": page.encode()}


def _environment() -> jinja2.Environment:
    templates = resources.files("analysis") / "templates"

    def load(name: str) -> str:
        return (templates / name).read_text(encoding="utf-8")

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(load),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals.update(css=load("page.css") + load("leaderboard.css"), script=load("leaderboard.js"))
    return environment


def _write(out: Path, files: dict[str, bytes], page: bytes) -> None:
    """Writes the site, its first page last, and takes away what an earlier build wrote and this one does not."""
    names = sorted([*files, "index.html", SITE])
    old: list[str] = []
    if (out / SITE).is_file():
        old = json.loads((out / SITE).read_text(encoding="utf-8"))["files"]
    elif out.is_dir() and any(out.iterdir()):
        raise ValueError(f"--out {str(out)!r} is not empty and no site of an earlier build; give a new folder")
    for name, content in files.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out / name, content)
    write_atomically(out / SITE, (json.dumps({"files": names}, indent=1) + "\n").encode())
    write_atomically(out / "index.html", page)
    for name in set(old) - set(names):
        if ".." not in Path(name).parts and not Path(name).is_absolute():
            (out / name).unlink(missing_ok=True)
