"""The commands that look at rules: `validate` (were they kept?) and `plan` (what do they cost?)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tyro


@dataclass(frozen=True, kw_only=True)
class ValidateCommand:
    """Check a runs folder as a submission: digests, completeness, seeds, cadence, scores, simulator versions, commit, hashes.

    Exit code 0 when every rule holds, 4 when one does not, 2 when it is no runs folder.
    """

    runs: tyro.conf.Positional[Path] = Path("runs")
    """The folder that `run --runs` wrote."""
    json: Path | None = None
    """Write the violations as JSON to this file ("-": to the standard output, instead of the text)."""

    def run(self) -> int:
        from protocols.store import find_runs
        from protocols.validate import RULES, check

        violations = check(self.runs)
        checked = len(find_runs(self.runs))
        record = {
            "schema": 1,
            "runs": checked,
            "valid": not violations,
            "rules": RULES,
            "violations": [asdict(violation) for violation in violations],
        }
        write_json_report(record, self.json)
        if str(self.json) != "-":
            for violation in violations:
                print(f"{violation.rule:<13}{violation.run}: {violation.what}")
            broken = sorted({violation.rule for violation in violations})
            print(
                f"{checked} runs, {len(violations)} violations"
                + (f" of {', '.join(broken)}" if broken else ": every rule holds")
            )
        return 4 if violations else 0


def write_json_report(record: dict[str, Any], target: Path | None) -> None:
    """Writes a machine-readable report to a file, or to the standard output for "-"."""
    if target is None:
        return
    text = json.dumps(record, indent=1) + "\n"
    if str(target) == "-":
        print(text, end="")
        return
    if not target.parent.is_dir():
        raise ValueError(f"folder {str(target.parent)!r} does not exist; expected an existing one for --json {target}")
    target.write_text(text)


COMMANDS = {"validate": ValidateCommand}
