"""Videos and imagined strips of a run, as data that can stand inside a page."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path

from protocols.records.store import VIDEO, Run

MOST_BYTES = 12_000_000
"""A page stays small enough to be mailed; what does not fit is named instead."""

TYPES = {".png": "image/png", ".webp": "image/webp", ".gif": "image/gif"}


def pictures(runs: Iterable[Run]) -> list[dict[str, str]]:
    """Per method and task the first seed's `last_evaluation.webp` and `imagine/*.png`: data URI and alternative text."""
    found, spent = [], 0
    seen: set[tuple[str, str, str]] = set()
    for run in runs:
        where = (run.manifest["label"], run.manifest["task"])
        files = [run.folder / VIDEO, *sorted((run.folder / "imagine").glob("*.png"))]
        for path in (path for path in files if path.is_file()):
            key = (*where, path.name)
            if key in seen:
                continue
            seen.add(key)
            what = (
                "last evaluation, first episode"
                if path.name == VIDEO
                else f"imagined sequence ({path.stem.replace('_', ' ')}): truth, prediction, error"
            )
            words = f"{where[0]}, {where[1]}, seed {run.manifest['seed']}: {what}"
            size = path.stat().st_size
            if spent + size > MOST_BYTES:
                found.append({"data": "", "alt": f"{words}; too large for this page, see {path.name} in the run folder"})
                continue
            spent += size
            found.append({"data": data_uri(path), "alt": words})
    return found


def data_uri(path: Path) -> str:
    return f"data:{TYPES[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"
