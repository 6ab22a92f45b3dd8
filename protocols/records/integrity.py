"""Whether the files of a run are those that were written. Hashes are compared only here.

`validate`, `report`, the leaderboard and `verify` all ask here. The check shows that nothing was changed, cut, removed or
exchanged since. It cannot show that the scores were earned.
"""

from __future__ import annotations

from collections.abc import Iterator

from dreamer_bench_base import InvalidData
from dreamer_bench_files import sha256
from protocols.records import chain
from protocols.records.store import EPISODES, HASHED, MANIFEST, OPTIONAL, RESULT, Run, seal

SCHEMA_1_HASHED = (MANIFEST, EPISODES)


def faults(run: Run) -> Iterator[str]:
    """Every file that is not what was written, one line each. A run without a result has only its chain of episodes."""
    lines, result = run.episodes(), run.result()
    if run.schema >= 2:
        end, broken = chain.end(run.manifest, lines)
        if broken is not None:
            yield f"{EPISODES} line {broken} does not follow from the lines before it: one was changed, added or taken away"
        if result is not None and result.get("chain") != end:
            yield f"{RESULT} does not end the chain of {EPISODES}"
    if result is None:
        return
    if run.schema >= 2 and result.get("seal") != seal(result):
        yield f"{RESULT} was changed after the run ended"
    noted = result.get("sha256")
    if not isinstance(noted, dict):
        yield f"{RESULT} holds no hashes"
        return
    required = SCHEMA_1_HASHED if run.schema == 1 else tuple(name for name in HASHED if name not in OPTIONAL)
    for name in required:
        if name not in noted:
            yield f"{RESULT} holds no hash of {name}"
    for name, expected in noted.items():
        path = run.folder / name
        if name not in HASHED:
            yield f"{RESULT} names {name!r}, which is no file of a run"
        elif not path.is_file():
            if name not in OPTIONAL:
                yield f"{name} is missing"
        elif sha256(path) != expected:
            yield f"{name} was changed after the run ended"


def check(run: Run) -> None:
    """Raises InvalidData with the first fault."""
    for fault in faults(run):
        raise InvalidData(f"{run.folder}: {fault}; restore the run folder from a copy, or move it away")
