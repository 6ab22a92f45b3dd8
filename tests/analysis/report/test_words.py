"""What a report says: notes where their scores are, cures that the command has, why a run has no score, and counts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from analysis.commands import AggregateCommand, ExportCommand, VerifyCommand
from analysis.figures import bars
from analysis.figures.gather import gather
from analysis.report import build
from analysis.report.commands import ReportCommand
from analysis.scores import cures, groups
from dreamer_bench_base import UserError, count
from protocols import catalog
from tests.analysis.scores.test_table import curve, write_csv
from tests.make_records import make_run

QUICK = catalog.find("quick@1")
TASK = QUICK.tasks[0]
UNIT_UNKNOWN = "method,task,seed,step,score"
NAMED = "method,task,seed,env_step,score,protocol"
REPS = 100


def run_of(root: Path, protocol: str, *, end: float = 500.0, task: str = TASK, seed: int = 0, **options: object) -> None:
    known = catalog.find(protocol)
    until = options.get("limit_env_steps") or known.env_steps
    final = [end] * known.final_episodes
    make_run(root, known, agent="dreamer", task=task, seed=seed, scores={0: [1.0], until: [end]}, final=final, **options)  # type: ignore


def under(rows: list[tuple[object, ...]], protocol: str) -> list[tuple[object, ...]]:
    return [(*row, protocol) for row in rows]


def warnings_of(*paths: Path, out: Path, protocol: str | None = None) -> dict[str, str]:
    page = build.build(paths, out, protocol=protocol, reps=REPS)
    return {section["title"].split(":")[0]: "\n".join(section["warnings"]) for section in page["sections"]}


# ---------------------------------------------------------------- one member of a family without a usable run


@pytest.mark.parametrize("begun", [{"limit_env_steps": 1_000_000}, {"status": None, "scores": {}}])
def test_a_family_member_without_a_run_that_counts_does_not_end_the_report(begun, tmp_path):
    root = tmp_path / "runs"
    for protocol in ("dmc-5m@1", "dmc-repeat-4@1"):
        run_of(root, protocol)
    if "scores" in begun:
        make_run(root, catalog.find("dmc-repeat-1@1"), agent="dreamer", task=TASK, seed=0, **begun)
    else:
        run_of(root, "dmc-repeat-1@1", **begun)
    sections = build.build([root], tmp_path / "out", reps=REPS)["sections"]
    assert sections[-1]["title"] == "Action repeats"
    assert sections[-1]["protocols"] == ["dmc-5m@1", "dmc-repeat-4@1"]
    drawn = gather([root], several_protocols=True, reps=REPS)
    assert drawn.methods == ["dreamer action_repeat=2", "dreamer action_repeat=4"]
    assert drawn.notes[0].startswith("dmc-repeat-1@1 left out: no run of it counts yet")


def test_a_single_member_that_counts_has_no_section_of_repeats(tmp_path):
    run_of(tmp_path / "runs", "dmc-5m@1")
    run_of(tmp_path / "runs", "dmc-repeat-4@1", limit_env_steps=1_000_000)
    sections = build.build([tmp_path / "runs"], tmp_path / "out", reps=REPS)["sections"]
    assert sorted(section["title"].split(":")[0] for section in sections) == ["dmc-5m@1", "dmc-repeat-4@1"]


# ---------------------------------------------------------------- notes on files


def test_the_notes_on_a_file_are_in_the_section_that_shows_it(tmp_path):
    run_of(tmp_path / "runs", "quick@1")
    quick = write_csv(tmp_path / "q.csv", under(curve("b", end=10_000, step=1_000), "quick@1"), f"{UNIT_UNKNOWN},protocol")
    plain = write_csv(tmp_path / "plain.csv", curve("c"), UNIT_UNKNOWN)
    other = write_csv(tmp_path / "other.csv", under(curve("d", end=5_000_000, step=500_000), "dmc-5m@1"), NAMED)
    said = warnings_of(tmp_path / "runs", quick, plain, other, out=tmp_path / "out")
    assert {title: re.findall(r"(\S+): 'step' is read", lines) for title, lines in said.items()} == {
        "quick@1": ["q.csv"],
        "Score files": ["plain.csv"],
        "dmc-5m@1": [],
    }


def test_a_file_without_scores_of_the_protocol_is_skipped_and_noted(tmp_path, capsys):
    run_of(tmp_path / "runs", "quick@1")
    other = write_csv(tmp_path / "other.csv", under(curve(end=5_000_000, step=500_000), "dmc-5m@1"), NAMED)
    note = "other.csv left out: it holds scores of dmc-5m@1, and none of quick@1"
    assert note in warnings_of(tmp_path / "runs", other, out=tmp_path / "out", protocol="quick@1")["quick@1"]
    assert note in gather([tmp_path / "runs", other], protocol="quick@1", reps=REPS).notes
    with pytest.raises(UserError, match=f"other.csv holds no run of quick@1; {note}"):
        ReportCommand(scores=(other,), protocol="quick@1", out=tmp_path / "two").run()
    with pytest.raises(UserError, match="the scores are of dmc-5m@1, none of quick@1"):
        AggregateCommand(scores=(other,), protocol="quick@1").run()


# ---------------------------------------------------------------- cures


def no_final(folder: Path) -> Path:
    rows = under(curve(end=10_000, step=1_000), "quick@1")
    return write_csv(folder / "q.csv", rows, NAMED)


def all_short(folder: Path) -> Path:
    return write_csv(folder / "q.csv", under(curve(), "dmc-5m@1"), NAMED)


def not_installed(folder: Path) -> Path:
    return write_csv(folder / "q.csv", under(curve(), "gone@1"), NAMED)


def no_known_return(folder: Path) -> Path:
    return write_csv(folder / "q.csv", [(1, 2)], "step,loss")


def no_gamer(folder: Path) -> Path:
    return write_csv(folder / "q.csv", curve())


@pytest.mark.parametrize(
    ("command", "path"),
    [
        (ReportCommand, no_final),
        (ReportCommand, all_short),
        (ReportCommand, not_installed),
        (ReportCommand, no_known_return),
        (AggregateCommand, no_known_return),
        (ExportCommand, no_gamer),
    ],
)
def test_a_cure_names_only_options_of_the_command_that_printed_it(command, path, tmp_path):
    given = {
        ReportCommand: {"out": tmp_path / "out"},
        ExportCommand: {"format": "rliable", "out": tmp_path / "out.npz", "normalize": "atari-gamer"},
        AggregateCommand: {},
    }[command]
    asked = command(scores=(path(tmp_path),), **given)
    with pytest.raises(UserError) as raised:
        asked.run()
    own, elsewhere, cure = str(raised.value).partition("use `dreamer-bench aggregate`: ")
    assert cures.named_in(own) <= cures.options_of(asked)
    assert cures.named_in(cure) <= cures.options_of(AggregateCommand())
    assert bool(cure) == bool(elsewhere)
    assert ";" in own


def test_verify_says_how_to_leave_short_reference_runs_out(tmp_path):
    ours = write_csv(tmp_path / "ours.csv", curve("ours", seeds=3))
    theirs = write_csv(tmp_path / "theirs.csv", [*curve(seeds=3), ("theirs", "walker_walk", 3, 10, 1.0)])
    asked = VerifyCommand(scores=(ours,), reference=str(theirs), json=tmp_path / "verdict.json", at=100)
    assert asked.run() == 4
    said = (tmp_path / "verdict.json").read_text()
    assert "or give --reference-short drop or --reference-short carry" in said
    assert cures.named_in(said) <= cures.options_of(asked)


# ---------------------------------------------------------------- why a run has no score


def test_runs_without_a_final_evaluation_are_not_said_to_stop_early(tmp_path):
    for seed in range(2):
        run_of(tmp_path / "runs", "quick@1", seed=seed)
    theirs = under(curve("theirs", seeds=3, end=10_000, step=1_000), "quick@1")
    path = write_csv(tmp_path / "q.csv", theirs, NAMED)
    said = warnings_of(tmp_path / "runs", path, out=tmp_path / "out")["quick@1"]
    assert (
        "3 runs that have no final evaluation are left out of the scores: theirs, dmc_walker_walk, seed 0 at 10,000; " in said
    )
    page = (tmp_path / "out/index.html").read_text()
    assert "before 10k" not in page
    assert "3 runs that have no final evaluation left out." in page  # in captions
    assert "3 runs that have no final evaluation not in the mean." in page  # under the curves


def test_early_and_final_are_counted_apart(tmp_path):
    rows = [*curve("a", seeds=2, end=100), *curve("b", seeds=1, end=50)]
    subject = gather([write_csv(tmp_path / "scores.csv", rows)], at=100, reps=REPS)
    assert subject.short_runs == "1 run that stops before 100 env steps"
    assert subject.selection.lacking(100) == "result"


# ---------------------------------------------------------------- digits, legends, counts


def test_the_terminal_has_the_digits_of_the_page(tmp_path, capsys):
    rows = [*curve("a", task="pong", seeds=3), *curve("b", task="pong", seeds=3)]
    path = write_csv(tmp_path / "scores.csv", rows)
    ReportCommand(scores=(path,), out=tmp_path / "out", reps=REPS).run()
    # Pong: random -20.7, human 14.6 (Mnih et al. 2015); the last scores are 100, 101, 102
    mean = f"{(101 + 20.7) / (14.6 + 20.7):.3f}"
    assert f'<div class="big">{mean}</div>' in (tmp_path / "out/index.html").read_text()
    printed = capsys.readouterr().out
    assert re.search(rf"a +{re.escape(mean)} +\[\d\.\d{{3}}, \d\.\d{{3}}\]", printed)


def test_a_method_named_like_a_published_one_publishes_nothing(tmp_path):
    path = write_csv(tmp_path / "scores.csv", curve("Dreamer", task="pong", seeds=2))
    drawn = bars.fig6(gather([path], reps=REPS))
    assert set(drawn.data["origin"]) == {"recorded"}
    assert [text.get_text() for legend in drawn.figure.legends for text in legend.get_texts()] == []


def test_one_thing_is_singular_on_every_page(tmp_path):
    assert [count(number, "run") for number in (0, 1, 2, 1_200)] == ["0 runs", "1 run", "2 runs", "1,200 runs"]
    assert groups.tally(["a", "b", "b"]) == "a (1 run); b (2 runs)"
    run_of(tmp_path / "runs", "quick@1", packages={"mujoco": "3.5.0", "dm_control": "1.0.50"})
    path = write_csv(tmp_path / "one.csv", curve(seeds=1))
    build.build([tmp_path / "runs", path], tmp_path / "out", reps=REPS)
    text = re.sub(r"<[^>]+>", " ", (tmp_path / "out/index.html").read_text().partition("<body>")[2])
    assert "1 method on 1 task, 1 run compared" in text
    assert "1 run was made under another simulator version" in text
    assert "1 run in 1 folder" in text
    wrong = re.findall(r"(?<![\d,.–-])1 (?:runs|methods|tasks|seeds|episodes|files|games|points|others)\b", text)
    assert wrong == []
