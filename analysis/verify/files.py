"""Files of a verdict: verdict.json with the history of interim analyses, JUnit XML, and the Markdown summary of a CI job."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypedDict
from xml.etree import ElementTree

from analysis.verify.verdict import Question, Verdict
from dreamer_bench_base import InvalidData, UserError
from dreamer_bench_json import MOST_JSON_BYTES, check_shape, parse_json
from dreamer_bench_untrusted import read_regular
from protocols.records.json_files import finite

SCHEMA = 1


class Interim(TypedDict):
    data_sha256: str
    status: str
    alpha: float


class InterimOfQuestion(TypedDict):
    key: dict[str, Any]
    looks: list[Interim]


class Recorded(TypedDict):
    """Fields that a verdict.json needs for its interim analyses to count. The file keeps their old name, `looks`."""

    history: list[InterimOfQuestion]


def question_key(question: Question, reference: dict[str, Any], tasks: list[str]) -> dict[str, Any]:
    """What identifies a question: two verdicts with equal keys answer the same question."""
    return {
        "method": question.method,
        "mode": question.mode,
        "normalization": question.normalization,
        "protocol": question.protocol,
        "reference": reference["name"],
        "reference_sha256": reference["sha256"],
        "tasks": tasks,
    }


@dataclass(frozen=True, kw_only=True)
class History:
    """The earlier questions and their data: [{"key": …, "looks": [{"data_sha256", "status", "alpha"}, …]}, …]."""

    entries: tuple[dict[str, Any], ...] = ()

    def analyses(self, key: dict[str, Any]) -> list[dict[str, Any]]:
        """The interim analyses of one question, in order."""
        return next((list(entry["looks"]) for entry in self.entries if entry["key"] == key), [])

    def number(self, key: dict[str, Any], data_sha256: str) -> int:
        """The number of the interim analysis for this data: the old one if it was analysed before, else the next one."""
        known = [one["data_sha256"] for one in self.analyses(key)]
        return known.index(data_sha256) + 1 if data_sha256 in known else len(known) + 1

    def with_analysis(self, key: dict[str, Any], verdict: Verdict) -> History:
        """The history with this verdict. An invalid comparison does not count, because it shows nothing."""
        before = self.analyses(key)
        if verdict.status == "invalid" or verdict.data_sha256 in [one["data_sha256"] for one in before]:
            return self
        before.append({"data_sha256": verdict.data_sha256, "status": verdict.status, "alpha": verdict.question.alpha})
        return History(entries=(*(entry for entry in self.entries if entry["key"] != key), {"key": key, "looks": before}))


def read_history(path: Path) -> History:
    """The history in the last verdict.json; empty if there is none.

    Raises ValueError for a file that is not a verdict. It would be overwritten, and losing earlier analyses raises the chance
    of a false pass.
    """
    if not path.exists():
        return History()
    try:
        record = parse_json(read_regular(path.resolve(), most_bytes=MOST_JSON_BYTES), path)
        check_shape(record, Recorded, path)
    except InvalidData:
        raise UserError(
            f"{path} is not a verdict of this program and would be overwritten; give another file with --json"
        ) from None
    return History(entries=tuple(record["history"]))


def without_folders(verdict: Verdict, paths: Iterable[Path]) -> Verdict:
    """The verdict as its files store it: its sentences name these files and folders without the folders of this machine."""
    long = {str(path): path.name for path in paths if path.name not in ("", str(path))}
    if not long:
        return verdict
    either = "|".join(re.escape(path) for path in sorted(long, key=len, reverse=True))
    found = re.compile(rf"(?<![\w./-])(?:{either})(?![\w-])")

    def shortened(lines: Iterable[str]) -> tuple[str, ...]:
        return tuple(found.sub(lambda match: long[match[0]], line) for line in lines)

    (headline,) = shortened([verdict.headline])
    return replace(verdict, headline=headline, causes=shortened(verdict.causes), notes=shortened(verdict.notes))


def as_json(verdict: Verdict, key: dict[str, Any], history: History, command: dict[str, Any]) -> str:
    """The verdict as JSON, with all its numbers; non-finite ones become null."""
    after = history.with_analysis(key, verdict)
    record = {
        "schema": SCHEMA,
        **asdict(verdict),
        "question": {"look" if name == "interim" else name: value for name, value in asdict(verdict.question).items()},
        "key": key,
        "looks": len(after.analyses(key)),
        "history": after.entries,
        "command": command,
    }
    return json.dumps(finite(record), indent=1, allow_nan=False) + "\n"


def as_junit(verdict: Verdict) -> str:
    """The verdict as JUnit XML: a case that fails unless the exit code is 0, and one per task that never fails."""
    failed = verdict.exit_code != 0
    cases = ElementTree.Element(
        "testsuite", name="dreamer-bench verify", tests=str(1 + len(verdict.tasks)), failures=str(int(failed)), errors="0"
    )
    suite = ElementTree.SubElement(
        cases, "testcase", classname="verify", name=f"{verdict.question.method} against {verdict.reference.get('name', '')}"
    )
    lines = "\n".join([*verdict.causes, *verdict.notes, *verdict.plan_lines])
    if failed:
        ElementTree.SubElement(suite, "failure", message=verdict.headline, type=verdict.status).text = lines
    else:
        ElementTree.SubElement(suite, "system-out").text = f"{verdict.headline}\n{lines}".rstrip()
    for row in verdict.tasks:
        case = ElementTree.SubElement(cases, "testcase", classname="verify.task", name=row.task)
        ElementTree.SubElement(case, "system-out").text = (
            f"{row.verdict}: ours {row.ours:.4f} (n={row.seeds}), reference {row.reference:.4f} (n={row.reference_seeds}), "
            f"difference {row.difference:+.4f} [{row.low:+.4f}, {row.high:+.4f}], Holm p {row.p:.4f}; diagnostic"
        )
    ElementTree.indent(cases)
    return ElementTree.tostring(cases, encoding="unicode", xml_declaration=True) + "\n"


def as_markdown(verdict: Verdict) -> str:
    """The verdict as Markdown, for the summary of a CI job."""
    lines = [f"### verify: {verdict.status}", "", _cell(verdict.headline), ""]
    lines += [f"- {_cell(line)}" for line in (*verdict.causes, *verdict.notes, *verdict.plan_lines)]
    if verdict.tasks:
        lines += [
            "",
            f"Per task, in {verdict.units} (diagnostic):",
            "",
            "| task | ours | reference | difference | interval | verdict | Holm p |",
            "| --- | ---: | ---: | ---: | --- | --- | ---: |",
        ]
        lines += [
            f"| {_cell(row.task)} | {row.ours:.3f} | {row.reference:.3f} | {row.difference:+.3f} | {row.low:+.3f} … "
            f"{row.high:+.3f} | {row.verdict} | {row.p:.3f} |"
            for row in verdict.tasks
        ]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Text from records for Markdown, with all markup escaped."""
    return re.sub(r"([\\`*\[\]<>|#&!])", r"\\\1", " ".join(text.split()))
