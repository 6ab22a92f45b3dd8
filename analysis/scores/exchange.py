"""`import` and `export` of score files, each written completely or not at all."""

from __future__ import annotations

import gzip
import io
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.scores import formats, normalize, per_run, table
from analysis.scores.columns import as_cells, refuse_clashes
from analysis.scores.formats import danijar, marl_eval
from analysis.scores.formats.archives import with_comment
from analysis.scores.formats.naming import expand
from analysis.scores.import_options import Options
from analysis.scores.tasks import declared
from dreamer_bench_base import InvalidData, UserError, count
from dreamer_bench_files import write_atomically

if TYPE_CHECKING:
    import pandas as pd


def import_files(command: Any) -> int:
    """Reads the files of an `ImportCommand`, checks them together and writes one tidy CSV. Notes go to standard error."""
    import pandas as pd

    from protocols import catalog

    options: Options = command
    if command.protocol is not None:
        options = replace(command, protocol=catalog.find(command.protocol).id)
    for name in ("action_repeat", "iteration_steps", "at"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f"--{name.replace('_', '-')} must be 1 or more, not {value}")
    check_target(command.out)
    if not command.files:
        raise UserError("no files to import; name at least one")
    frames, notes = [], []
    for path in expand(command.files, command.pattern):
        frame, remarks = formats.read_file(path, options, None if command.format == "auto" else command.format)
        frames.append(frame)
        notes += remarks
    points = pd.concat(frames, ignore_index=True)
    refuse_clashes(points)
    points = points.sort_values(["method", "task", "seed", "env_steps", "episode", "final"], ignore_index=True)
    write_atomically(command.out, compressed(command.out, tidy(points)))
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    print(f"{command.out}: {describe(points)}")
    return 0


def export_scores(command: Any) -> int:
    """Writes the scores of an `ExportCommand` in one of four formats. Notes go to standard error."""
    check_target(command.out)
    notes: list[str] = []
    points = table.read(command.scores, protocol=command.protocol, own_tasks=command.own_tasks, notes=notes)
    points = table.chosen(points, command.methods, command.tasks)
    held = describe(points)
    if command.format == "rliable":
        selection = per_run.select(points, at=command.at, window=command.window, short=command.short)
        data, held = rliable_npz(selection, command.normalize), describe(selection.scores)
        notes += left_out_lines(selection)
    else:
        if command.at is not None or command.window or command.normalize not in ("none", "auto"):
            raise UserError(
                f"{command.format} holds whole curves in raw units; use --at, --window and --normalize with rliable only"
            )
        if command.format == "danijar" and points["final"].any():
            final = int(points["final"].sum())
            points = points[~points["final"]]
            if points.empty:
                raise UserError("danijar holds curves, and the scores have final evaluations only; choose tidy or marl-eval")
            held = describe(points)
            notes.append(f"{final:,} points of final evaluations left out: danijar holds curves")
        texts = {"tidy": tidy, "danijar": danijar.dump, "marl-eval": marl_eval.dump}
        data = compressed(command.out, texts[command.format](points))
    write_atomically(command.out, data)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    print(f"{command.out}: {held}")
    return 0


def left_out_lines(selection: per_run.Selection) -> list[str]:
    """Lines about short runs that were left out or carried forward."""
    lines = [
        f"{row.method}, {row.task}, seed {row.seed} left out: {_why(selection, row.env_steps)}"
        for row in selection.left_out.itertuples()
    ]
    carried = int(selection.scores["carried"].sum())
    return lines + ([f"{count(carried, 'run')} carried forward from an earlier end"] if carried else [])


def _why(selection: per_run.Selection, last: int) -> str:
    lacks = selection.lacking(last)
    return f"it has no {lacks}, and ends at {last:,}" if lacks else f"it stops at {last:,}"


def tidy(points: pd.DataFrame) -> str:
    """A table as tidy CSV: the five columns of the format, and those of our columns that are not empty."""
    columns = ["method", "task", "seed", "env_steps", "score"]
    own = [name for name in points["task"].unique() if declared(name)]
    points = points.assign(own_task=points["task"].isin(own))
    for name, says_something in (
        ("episode", points["episode"].any()),
        ("protocol", (points["protocol"] != "").any()),
        ("final", points["final"].any()),
        ("device_seconds", points["device_seconds"].notna().any()),
        ("own_task", bool(own)),
        ("source", True),
    ):
        columns += [name] if says_something else []
    names = points.assign(source=[Path(source).name for source in points["source"]])  # without folders of this machine
    return as_cells(names[columns].rename(columns={"env_steps": "env_step"})).to_csv(index=False, lineterminator="\n")


def rliable_npz(selection: per_run.Selection, normalization: str = "none") -> bytes:
    """An npz archive: an array [runs, tasks] per method, and `tasks`, their names; its comment has budget, rule and units.

    Raises InvalidData if the tasks of a method have different numbers of runs.
    """
    if normalization == "auto":
        normalization = normalize.for_tasks(selection.scores["task"].unique())
    arrays = rectangles(normalize.normalize(selection.scores, normalization))
    for name in arrays:  # refuses the name of the task array, a name that NumPy would shorten, and a path out of the archive
        if name == "tasks" or name.endswith(".npy") or "\\" in name or name.startswith("/") or ".." in name.split("/"):
            raise InvalidData(f"an rliable archive cannot hold a method named {name!r}; import it with `import --method`")
    tasks = sorted(selection.scores["task"].unique())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:  # np.savez has parameters whose names a method may have
        for name, array in {"tasks": np.array(tasks), **arrays}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    about = {
        "budget_env_steps": selection.budget_env_steps,
        "score_rule": selection.rule,
        "normalization": normalize.find(normalization).id,
    }
    return with_comment(buffer.getvalue(), about)


def rectangles(scores: pd.DataFrame) -> dict[str, np.ndarray]:
    """Method -> scores [runs, tasks], tasks sorted, as rliable needs. Raises InvalidData if a method is not rectangular."""
    tasks = sorted(scores["task"].unique())
    arrays: dict[str, np.ndarray] = {}
    for method in sorted(scores["method"].unique()):
        by_task = table.scores_by_task(scores, method)
        sizes = {task: len(by_task.get(task, [])) for task in tasks}
        if len(set(sizes.values())) > 1:
            fewest = min(sizes, key=lambda task: sizes[task])
            raise InvalidData(
                f"{method} has {count(sizes[fewest], 'run')} on {fewest} and {max(sizes.values())} elsewhere; rliable takes "
                "rectangles only, so leave runs out, or use `dreamer-bench aggregate`, which does not need them"
            )
        arrays[method] = np.array([by_task[task] for task in tasks]).T
    return arrays


def compressed(path: Path, text: str) -> bytes:
    """Bytes for a path: gzip if it ends in .gz, without a time stamp, so that the same scores give the same file."""
    data = text.encode()
    return gzip.compress(data, mtime=0) if path.suffix == ".gz" else data


def check_target(path: Path) -> None:
    """Refuses a path that cannot be written, before any work."""
    if path.is_dir():
        raise UserError(f"{path} is a folder; give the name of a file to write")
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is not a regular file; give the name of a file to write")
    if not path.absolute().parent.is_dir():
        raise UserError(f"folder {path.parent} does not exist; create it, or write elsewhere")


def describe(points: pd.DataFrame) -> str:
    """The content of a table in one line."""
    methods: Sequence[str] = sorted(points["method"].unique())
    runs = len(points[["method", "task", "seed"]].drop_duplicates())
    counts = ((len(points), "point"), (runs, "run"), (points["task"].nunique(), "task"))
    counted = ", ".join(count(number, what) for number, what in counts)
    return f"{counted}, method{'s' if len(methods) != 1 else ''} {', '.join(methods)}"
