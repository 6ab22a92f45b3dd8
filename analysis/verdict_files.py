"""A verdict on disk: verdict.json with the history of looks, JUnit XML, and the Markdown summary of a CI job."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from analysis.verdict import Question, Verdict

SCHEMA = 1


def question_key(question: Question, reference: dict[str, Any], tasks: list[str]) -> dict[str, Any]:
    """What makes two verdicts answers to one question."""
    return {
        "method": question.method,
        "mode": question.mode,
        "normalization": question.normalization,
        "protocol": question.protocol,
        "reference": reference["name"],
        "reference_sha256": reference["sha256"],
        "tasks": tasks,
    }


def look_of(path: Path, key: dict[str, Any], data_sha256: str) -> tuple[int, list[dict[str, Any]]]:
    """Which look this is, and the looks before it, from the verdict.json of the last one.

    Data that was looked at before keeps its number; another question, or no file, starts at 1. A damaged file is an error:
    forgetting looks would raise the chance of a false pass.
    """
    if not path.exists():
        return 1, []
    try:
        before = json.loads(path.read_text())
        same = before["key"] == key
        looks = list(before["looks"])
        known = [look["data_sha256"] for look in looks]
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            f"{path} is no verdict of this program, and it would be overwritten; give another place with --json"
        ) from None
    if not same:
        return 1, []
    if data_sha256 in known:
        return known.index(data_sha256) + 1, looks
    return len(looks) + 1, looks


def as_json(verdict: Verdict, key: dict[str, Any], looks: list[dict[str, Any]], command: dict[str, Any]) -> str:
    """Every number of a verdict. Non-finite ones become null."""
    known = [look["data_sha256"] for look in looks]
    if verdict.status != "invalid" and verdict.data_sha256 not in known:
        looks = [*looks, {"data_sha256": verdict.data_sha256, "status": verdict.status, "alpha": verdict.question.alpha}]
    record = {"schema": SCHEMA, **asdict(verdict), "key": key, "looks": looks, "command": command}
    return json.dumps(_finite(record), indent=1, allow_nan=False) + "\n"


def as_junit(verdict: Verdict) -> str:
    """One test case for the suite, which fails as the verdict does, and one per task, which never does."""
    failed = verdict.exit_code != 0
    cases = ElementTree.Element(
        "testsuite", name="dreamer-bench verify", tests=str(1 + len(verdict.tasks)), failures=str(int(failed)), errors="0"
    )
    suite = ElementTree.SubElement(
        cases, "testcase", classname="verify", name=f"{verdict.question.method} against {verdict.reference.get('name', '')}"
    )
    if failed:
        failure = ElementTree.SubElement(suite, "failure", message=verdict.headline, type=verdict.status)
        failure.text = "\n".join([*verdict.causes, *verdict.notes, *verdict.plan_lines])
    for row in verdict.tasks:
        case = ElementTree.SubElement(cases, "testcase", classname="verify.task", name=row.task)
        ElementTree.SubElement(case, "system-out").text = (
            f"{row.verdict}: ours {row.ours:.4f} (n={row.seeds}), reference {row.reference:.4f} (n={row.reference_seeds}), "
            f"difference {row.difference:+.4f} [{row.low:+.4f}, {row.high:+.4f}], Holm p {row.p:.4f}; diagnostic"
        )
    ElementTree.indent(cases)
    return ElementTree.tostring(cases, encoding="unicode", xml_declaration=True) + "\n"


def as_markdown(verdict: Verdict) -> str:
    """The summary of a CI job."""
    lines = [f"### verify: {verdict.status}", "", verdict.headline, ""]
    lines += [f"- {line}" for line in (*verdict.causes, *verdict.notes, *verdict.plan_lines)]
    if verdict.tasks:
        lines += [
            "",
            f"Per task, in {verdict.units} (diagnostic):",
            "",
            "| task | ours | reference | difference | interval | verdict | Holm p |",
            "| --- | ---: | ---: | ---: | --- | --- | ---: |",
        ]
        lines += [
            f"| {row.task} | {row.ours:.3f} | {row.reference:.3f} | {row.difference:+.3f} | {row.low:+.3f} … "
            f"{row.high:+.3f} | {row.verdict} | {row.p:.3f} |"
            for row in verdict.tasks
        ]
    return "\n".join(lines) + "\n"


def write_all(texts: dict[Path, str], append: tuple[Path, str] | None = None) -> None:
    """Writes each file whole or not at all: to a neighbour first, then renamed."""
    temporary = []
    try:
        for path, text in texts.items():
            neighbour = path.with_name(f".{path.name}.{os.getpid()}.tmp")
            temporary.append(neighbour)
            neighbour.write_text(text, encoding="utf-8")
        for path, neighbour in zip(texts, temporary, strict=True):
            os.replace(neighbour, path)
    finally:
        for neighbour in temporary:
            neighbour.unlink(missing_ok=True)
    if append is not None:
        with append[0].open("a", encoding="utf-8") as file:
            file.write(append[1])


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.item() if hasattr(value, "item") else value
