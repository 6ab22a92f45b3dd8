"""Script, markup, control characters, mathematics and formulas in what a stranger wrote: shown as text, or refused."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from analysis.commands import ExportCommand, ImportCommand
from analysis.figures.commands import FigureCommand
from analysis.leaderboard import adding, site
from analysis.report.commands import ReportCommand
from analysis.verify.files import _cell
from dreamer_bench_base import Exits, InvalidData, UserError
from protocols.running.commands import StatusCommand
from tests.analysis.browser import browser
from tests.attacks.submissions import QUICK, TASK, curves, honest, published
from tests.make_records import make_run

SCRIPT = "<script>window.pwned=1</script><img src=x onerror=window.pwned=1>"
MATH = r"a $\foo{$ b"
MARKUP = "x [/] [red]ours[/red]"


def test_a_script_as_the_name_of_a_file_or_a_method_is_text_on_every_page(tmp_path):
    entry = published(tmp_path / "entry", curves(SCRIPT), name="scores.html")
    card = json.loads((entry / "card.json").read_text())
    card["name"], card["note"], card["authors"] = SCRIPT, SCRIPT, [SCRIPT]
    card["imported"] |= {"method": SCRIPT, "source": SCRIPT, "licence": SCRIPT}
    (entry / "card.json").write_text(json.dumps(card))
    kept = adding.add(entry, tmp_path / "kept")
    site.build(tmp_path / "kept", tmp_path / "site", reps=100)
    names = {path.relative_to(kept).as_posix() for path in kept.rglob("*") if path.is_file()}
    assert names == {"card.json", "scores/scores.csv", "submission.json"}
    pages = {path.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site").rglob("*.html")}
    assert pages == {"index.html", "quick-1.html", f"records/{kept.name}/index.html"}
    with browser(tmp_path) as page:
        for name in sorted(pages):
            page.open(tmp_path / "site" / name)
            assert page.script("return window.pwned === undefined && document.body.innerText.includes('<script>')"), name


@pytest.mark.parametrize(
    "card",
    [
        {"name": "a\ud800b"}, {"note": "\ud800"}, {"name": "a\u202eb"}, {"authors": ["x\x1b[31m"]}, {"name": "x" * 81},
        {"authors": []}, {"authors": [1]}, {"authors": "me"}, {"name": 5}, {"note": {}}, {"input": []}, {"name": "!!"},
        {"paper": "https://github.com@evil.org/x"}, {"paper": "https://ex\u202eample.org"}, {"code": "javascript:alert(1)"},
        {"code": "https://x.org/\"onmouseover='x'"}, {"code": "https://x.org:port/"}, {"code": ["https://x.org"]},
        {"imported": 5}, {"imported": {"protocol": 5, "source": "", "licence": "", "method": ""}}, {"more": 1},
    ],
)  # fmt: skip
def test_a_card_that_a_page_could_not_show_is_refused_in_one_printable_line(card, tmp_path):
    entry = honest(tmp_path / "entry", **card)
    with pytest.raises(UserError) as raised:
        adding.add(entry, tmp_path / "kept")
    assert str(raised.value).isprintable()
    assert not (tmp_path / "kept").exists()


def test_what_add_accepts_build_renders_mathematics_and_markup_included(tmp_path):
    adding.add(honest(tmp_path / "one", name=MATH, note=MARKUP), tmp_path / "kept")
    adding.add(honest(tmp_path / "two", name="_hidden [/]", end=600), tmp_path / "kept")
    built = site.build(tmp_path / "kept", tmp_path / "site", reps=100)
    assert built.left_out == {}
    assert "a $\\foo{$ b" in (tmp_path / "site" / "quick-1.html").read_text()


def test_two_entries_of_one_name_are_refused_at_the_door_and_named(tmp_path):
    first = honest(tmp_path / "first", name="A")
    for seed in QUICK.seeds:  # a second label in the same submission: its rows are "A dreamer" and "A planet"
        source = next((first / f"runs/quick@1/dreamer/{TASK}/seed-{seed}").glob("episodes.jsonl"))
        lines = [json.loads(line) for line in source.read_text().splitlines()]
        scores: dict[int, list[float]] = {}
        for line in lines:
            if not line["final"]:
                scores.setdefault(line["env_steps"], []).append(line["score"] + 1)
        make_run(first / "runs", QUICK, agent="planet", task=TASK, seed=seed, scores=scores,
                 final=[line["score"] + 1 for line in lines if line["final"]])  # fmt: skip
    adding.add(first, tmp_path / "kept")
    with pytest.raises(UserError, match=r"named 'A planet'.*'a-planet'.*'a'; change the name"):
        adding.add(honest(tmp_path / "second", name="A planet"), tmp_path / "kept")


def test_markup_and_escapes_of_records_reach_no_terminal(tmp_path, capsys):
    for seed in range(3):
        make_run(tmp_path / "runs", QUICK, agent=MARKUP.replace("/", "|"), task=TASK, seed=seed,
                 scores={step: [1.0 + seed] * QUICK.evaluate_episodes for step in (0, QUICK.env_steps)},
                 final=[2.0 + seed] * QUICK.final_episodes)  # fmt: skip
    assert StatusCommand(runs=tmp_path / "runs").run() == 0
    assert ReportCommand(scores=(tmp_path / "runs",), out=tmp_path / "report", reps=100).run() == 0
    assert capsys.readouterr().out.count("[red]ours[|red]") >= 2


@pytest.mark.parametrize("name", ["a\x1b[31mb", "a\u202eb", "a\u200bb", "x" * 300])
def test_a_method_that_does_not_show_itself_is_refused_with_its_line(name, tmp_path, capsys):
    path = tmp_path / "scores.csv"
    path.write_text(curves(name))
    with pytest.raises(SystemExit) as stop, Exits():
        ImportCommand(format="auto", files=(path,), out=tmp_path / "out.csv").run()
    said = capsys.readouterr().err
    assert stop.value.code == 4
    assert said.count("\n") == 1
    assert said.strip().isprintable()
    assert re.search(r"scores.csv:2: the method '.*' (holds an invisible character|has 300 characters)", said)


def test_a_dollar_in_a_name_is_no_mathematics_in_a_figure(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text(curves(MATH))
    assert FigureCommand(name="curves", scores=(path,), out=tmp_path / "figures", reps=100).run() == 0
    assert MATH in (tmp_path / "figures" / "curves.svg").read_text()


def test_formulas_are_text_in_every_csv(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text(curves("=cmd|' /C calc'!A0"))
    assert ExportCommand(format="tidy", scores=(path,), out=tmp_path / "out.csv").run() == 0
    assert FigureCommand(name="curves", scores=(path,), out=tmp_path / "figures", reps=100).run() == 0
    for table in (tmp_path / "out.csv", tmp_path / "figures" / "curves.csv"):
        cells = [cell for row in csv.reader(table.open()) for cell in row]
        assert any(cell.startswith("'=cmd|") for cell in cells)
        assert not any(cell.startswith("=") for cell in cells)


@pytest.mark.parametrize("name", ["../../x", "/x", "a\\b", "tasks", "a.npy"])
def test_a_method_cannot_name_a_place_outside_an_archive(name, tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text(curves(name))
    with pytest.raises(InvalidData, match="archive"):
        ExportCommand(format="rliable", scores=(path,), out=tmp_path / "out.npz").run()
    assert not (tmp_path / "out.npz").exists()


def test_records_are_text_in_markdown():
    assert _cell("a | <img src=x> [x](y) `z`\n# b") == r"a \| \<img src=x\> \[x\](y) \`z\` \# b"


def test_names_of_files_do_not_leave_their_place(tmp_path):
    entry = honest(tmp_path / "entry")
    (entry / "runs" / "quick@1" / "<b>").mkdir()
    (entry / "runs" / "quick@1" / "<b>" / "t").mkdir()
    (entry / "runs" / "quick@1" / "<b>" / "t" / "seed-0").mkdir()
    with pytest.raises(InvalidData, match="not a run's folder"):
        adding.add(entry, Path(tmp_path / "kept"))
