"""Which of the project's other tests sees a mutation first: pytest -x on the mutated copy, the quickest tests first."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from tests.mutants.mutations import Mutation
from tests.mutants.tree import copy_of, environment

ORDER = (
    *("tests/agents/behaviors/test_returns.py", "tests/agents/learning/test_replay.py"),
    *("tests/agents/recipes/test_dreamer_oracle.py", "tests/agents/models/test_world_model.py"),
    *("tests/protocols/test_cadence.py", "tests/protocols/running/test_loop.py", "tests/protocols/records/test_validate.py"),
    *("tests/agents/learning/test_learner.py", "tests/agents/learning/test_model_based.py"),
    *("tests/agents/behaviors/test_actor_entropy.py", "tests/agents/recipes/test_plain_dreamer.py"),
    *("tests/protocols/running/test_commands.py", "tests/agents/recipes/test_arms_on_probes.py"),
)
"""Parts by hand and against the original code, then counting and recording, then learning."""
LIMIT_SECONDS = 2_400


def caught(work: Path, mutation: Mutation) -> dict[str, object]:
    """{"mutation", "caught_by": test id or None, "seconds", "finished"}; kept in WORK/caught/NAME.json."""
    kept = work / "caught" / f"{mutation.name}.json"
    if kept.exists():
        return dict(json.loads(kept.read_text()))
    kept.parent.mkdir(parents=True, exist_ok=True)
    tree = copy_of(mutation, work / "tested" / f"{mutation.name}.{time.time_ns()}", also=("tests", "examples", "docs"))
    started, finished = time.monotonic(), True
    try:
        shown = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-rf", "--tb=no", *ORDER],
            cwd=tree, env=environment(tree), capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS,
        ).stdout  # fmt: skip
    except subprocess.TimeoutExpired as expired:
        shown, finished = (expired.stdout or b"").decode(), False
    failed = [line.split(" - ")[0].removeprefix("FAILED ") for line in shown.splitlines() if line.startswith("FAILED ")]
    row = {
        "mutation": mutation.name,
        "caught_by": failed[0] if failed else None,
        "seconds": round(time.monotonic() - started),
        "finished": finished,
        "last": shown.strip().splitlines()[-1] if shown.strip() else "",
    }
    kept.write_text(json.dumps(row) + "\n")
    return row


def everything(work: Path, before: str) -> str:
    """What is known of every mutation, as one JSON text without the times, which say something of this machine alone.

    before  the text of the last time; what was found since replaces what it says of the same mutations
    """
    rows = {row["mutation"]: row for row in json.loads(before)}
    for path in (work / "caught").glob("*.json"):
        row = json.loads(path.read_text())
        rows[row["mutation"]] = {name: row[name] for name in ("mutation", "caught_by", "finished")}
    return json.dumps([rows[name] for name in sorted(rows)], indent=1) + "\n"
