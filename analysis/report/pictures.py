"""Videos and imagined strips of a run, as data inside a page."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable
from pathlib import Path

from dreamer_bench_base import InvalidData
from dreamer_bench_untrusted import read_regular
from protocols.records.store import VIDEO, Run

MOST_BYTES = 12_000_000
"""Most bytes of pictures on a page, so that it can be mailed; further pictures are only named."""

STARTS = {
    ".png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    ".webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
    ".gif": re.compile(rb"GIF8[79]a"),
}
"""First bytes of a file of each kind. The page declares the type, so other content must not pass."""
TYPES = {".png": "image/png", ".webp": "image/webp", ".gif": "image/gif"}


def pictures(runs: Iterable[Run]) -> list[dict[str, str]]:
    """`last_evaluation.webp` and `imagine/*.png` of the first seed per method and task: data URI and alternative text."""
    found, spent = [], 0
    seen: set[tuple[str, str, str]] = set()
    for run in runs:
        where = (run.manifest["label"], run.manifest["task"])
        imagined = run.folder / "imagine"
        strips = [] if imagined.is_symlink() else sorted(imagined.glob("*.png"))
        for path in (path for path in (run.folder / VIDEO, *strips) if os.path.lexists(path)):
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
            if spent + path.lstat().st_size > MOST_BYTES:
                found.append({"data": "", "alt": f"{words}; too large for this page, see {path.name} in the run folder"})
                continue
            data = picture_bytes(path)
            if data is None:
                found.append({"data": "", "alt": f"{words}; {path.name} is no picture of that kind"})
                continue
            spent += len(data)
            found.append({"data": f"data:{TYPES[path.suffix]};base64,{base64.b64encode(data).decode()}", "alt": words})
    return found


def picture_bytes(path: Path) -> bytes | None:
    """The bytes of a picture's file; None for a link, and for a file that does not begin like its kind."""
    try:
        data = read_regular(path, most_bytes=MOST_BYTES)
    except InvalidData:
        return None
    return data if STARTS[path.suffix].match(data) else None
