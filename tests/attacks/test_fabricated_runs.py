"""Made-up runs: what enters without a replay, exactly as docs/leaderboard.md says, and what a replay catches."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.leaderboard import adding, checkpoints, site, submissions
from analysis.leaderboard.checkpoints import Replaying
from dreamer_bench_base import InvalidData, UserError
from dreamer_bench_files import sha256
from protocols import catalog
from protocols.records import code_identity
from protocols.records.checkpoint import CONTENTS
from protocols.records.store import EPISODES, MANIFEST, RESULT, Run, find_runs, seal
from protocols.running.launch import run_cohort
from protocols.running.replay_check import Replays
from tests.attacks.submissions import QUICK, TASK, curves, honest, published, write_card
from tests.make_records import rechain, reseal
from tests.probe_runs import PROBE, register, request

ONE = replace(PROBE, id="probe-one@1", tasks=("probe_count",), seeds=(0, 1, 2, 3))
CLEAN = {"commit": "0" * 40, "dirty": False}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An honest submission to probe-one@1: four seeds, of which two and two trained together, with their checkpoints."""
    register()
    folder = tmp_path_factory.mktemp("trained") / "entry"
    write_card(folder)
    code = code_identity.code
    with pytest.MonkeyPatch.context() as patch:  # the tests' own tree may differ from its commit
        patch.setattr(code_identity, "code", lambda: {**code(), **CLEAN})
        patch.setattr(code_identity, "origin", _clean(code_identity.origin))
        patch.setattr(catalog, "BUILT_IN", (*catalog.BUILT_IN, ONE))
        for seeds in ((0, 1), (2, 3)):
            run_cohort(request(folder / "runs", protocol=ONE, seeds=seeds))
        yield folder


def _clean(origin: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda module: {**origin(module), "version": "1", "dirty": False}


@pytest.fixture
def entry(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(site, "check_shown", lambda submission, to: None)  # takes seconds; test_leaderboard.py has it
    return Path(shutil.copytree(trained, tmp_path / "entry"))


def asked(number: int, *, seed: int | None = 0, tolerance: float = 0.0, said: list[str] | None = None) -> Replaying:
    say = (lambda line: None) if said is None else said.append
    return Replaying(number=number, seed=seed, tolerance=tolerance, play=Replays(tolerance=tolerance, say=say), say=say)


def better(run: Run, by: float = 1.0, *, with_checkpoint: bool = True) -> None:
    """Every score of a run raised, and chain, hashes, seal and score made to fit; and what its checkpoint says of them."""
    path = run.folder / EPISODES
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({**line, "score": line["score"] + by}) + "\n" for line in lines))
    result = json.loads((run.folder / RESULT).read_text())
    (run.folder / RESULT).write_text(json.dumps({**result, "score": result["score"] + by}))
    rechain(Run(run.folder))
    if with_checkpoint:
        regular = [line for line in path.read_bytes().splitlines(keepends=True) if not json.loads(line)["final"]]
        part = next(run.folder.glob("checkpoint-*"))
        contents = json.loads((part / CONTENTS).read_text())
        data = b"".join(regular)
        contents["records"][EPISODES] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        (part / CONTENTS).write_text(json.dumps(contents))
        _name(part)


# ---------------------------------------------------------------- without a replay


def test_invented_scores_on_a_published_protocol_enter_and_the_board_says_that_nothing_was_replayed(tmp_path):
    random.seed(1)
    adding.add(honest(tmp_path / "entry", end=random.gauss(900, 10)), tmp_path / "kept")
    built = site.build(tmp_path / "kept", tmp_path / "site", reps=100)
    assert not built.left_out
    page = (tmp_path / "site" / "quick-1.html").read_text()
    assert f"0 of {len(QUICK.seeds)} runs; the scores are what the submitter says" in page
    assert ">replayed" not in page


def test_raised_scores_with_fitting_hashes_enter_without_a_replay(entry, tmp_path):
    for run in find_runs(entry / "runs"):
        better(run)
    assert adding.add(entry, tmp_path / "kept").is_dir()


OLD = Path(__file__).parents[1] / "protocols" / "records_of_schema_1"


def test_a_record_of_an_older_schema_is_refused_unless_the_maintainer_takes_it_and_then_marked(tmp_path):
    entry = tmp_path / "entry"
    write_card(entry)
    shutil.copytree(OLD, entry / "runs")
    with pytest.raises(InvalidData, match=r"3 of 3 runs are of an older schema than 2, .*--old-records"):
        adding.add(entry, tmp_path / "kept")
    adding.add(entry, tmp_path / "kept", old_records=True)
    site.build(tmp_path / "kept", tmp_path / "site", reps=100)
    page = (tmp_path / "site" / "quick-1.html").read_text()
    assert '<span class="badge imported">schema 1</span>' in page
    assert "3 of 3 runs of one before 2" in page


# ---------------------------------------------------------------- with a replay


def test_an_honest_submission_is_replayed_to_the_bit_and_the_board_says_how_many(entry, tmp_path):
    said: list[str] = []
    adding.add(entry, tmp_path / "kept", replay=asked(3, said=said))
    assert said[0].startswith("drawn with --replay-seed 0: ")
    assert len(said) == 4
    site.build(tmp_path / "kept", tmp_path / "site", reps=100)
    for name in ("index.html", "probe-one-1.html"):
        assert '<span class="badge replayed">replayed 3 of 4</span>' in (tmp_path / "site" / name).read_text()
    assert (
        "3 of 4 runs: last evaluation played again from the checkpoint, every score equal to the bit"
        in (tmp_path / "site" / "probe-one-1.html").read_text()
    )
    assert not list((tmp_path / "kept").rglob("checkpoint-*"))  # evidence alone is kept


def test_a_later_replay_adds_to_what_the_seal_says_and_changes_no_evidence(entry, tmp_path):
    target = adding.add(entry, tmp_path / "kept")
    before = submissions.sealed(target)
    assert "replayed" not in before
    adding.add(entry, tmp_path / "kept", replay=asked(4))
    assert len(submissions.sealed(target)["replayed"]) == 4
    assert submissions.sealed(target)["sha256"] == before["sha256"]


@pytest.mark.parametrize("seed", range(3))
def test_raised_scores_are_caught_whichever_run_is_drawn(seed, entry, tmp_path):
    for run in find_runs(entry / "runs"):
        better(run, by=1e-9)
    with pytest.raises(
        InvalidData, match=r"does not reproduce its last evaluation: 4 of 4 episodes differ.*machine are the same"
    ):
        adding.add(entry, tmp_path / "kept", replay=asked(1, seed=seed))
    assert not (tmp_path / "kept").exists()


def test_scores_raised_without_touching_the_checkpoint_do_not_fit_it(entry, tmp_path):
    for run in find_runs(entry / "runs"):
        better(run, with_checkpoint=False)
    with pytest.raises(InvalidData, match=r"episodes\.jsonl does not match checkpoint-[0-9]+"):
        adding.add(entry, tmp_path / "kept", replay=asked(1))


def test_one_raised_run_of_four_is_caught_when_all_are_drawn_and_by_chance_otherwise(entry, tmp_path):
    better(find_runs(entry / "runs")[0])
    caught = 0
    for seed in range(12):
        try:
            adding.add(entry, tmp_path / f"kept-{seed}", replay=asked(1, seed=seed))
        except InvalidData:
            caught += 1
    assert 0 < caught < 12
    with pytest.raises(InvalidData, match="does not reproduce"):
        adding.add(entry, tmp_path / "kept", replay=asked(4))


def test_a_tolerance_forgives_the_last_digits_only_and_is_said(entry, tmp_path):
    for run in find_runs(entry / "runs"):
        better(run, by=1e-9)
    adding.add(entry, tmp_path / "kept", replay=asked(4, tolerance=1e-6))
    site.build(tmp_path / "kept", tmp_path / "site", reps=100)
    assert "every score within 1e-06 of the recorded one" in (tmp_path / "site" / "probe-one-1.html").read_text()


def _checkpoint(entry: Path) -> Path:
    return next(iter(sorted(find_runs(entry / "runs")[0].folder.glob("checkpoint-*"))))


def _without(part: Path) -> None:
    shutil.rmtree(part)


def _other_weights(part: Path) -> None:
    """Weights of another run with their own hash in contents.json, which result.json does not name."""
    path = next((part / "agent").iterdir())
    path.write_bytes(path.read_bytes() + b" ")
    contents = json.loads((part / CONTENTS).read_text())
    name = path.relative_to(part).as_posix()
    contents["files"][name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    (part / CONTENTS).write_text(json.dumps(contents))


def _changed_weights(part: Path) -> None:
    path = next((part / "agent").iterdir())
    path.write_bytes(path.read_bytes() + b" ")


def _link(part: Path) -> None:
    path = next((part / "agent").iterdir())
    path.rename(part.parent / "elsewhere")
    path.symlink_to(part.parent / "elsewhere")


def _outside(part: Path) -> None:
    """A file above the checkpoint, with everything that names it made to fit."""
    contents = json.loads((part / CONTENTS).read_text())
    contents["files"]["../../../x"] = {"bytes": 1, "sha256": "0" * 64}
    (part / CONTENTS).write_text(json.dumps(contents))
    _name(part)


def _no_weights(part: Path) -> None:
    path = next((part / "agent").iterdir())
    path.write_text('{"weights": "none"}')
    contents = json.loads((part / CONTENTS).read_text())
    contents["files"][path.relative_to(part).as_posix()] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    (part / CONTENTS).write_text(json.dumps(contents))
    _name(part)


def _bomb(name: str, times: int) -> Callable[[Path], None]:
    """A zip archive with entries of 64 MiB of zeros in the agent's folder, listed with its hash."""

    def harm(part: Path) -> None:
        path = part / "agent" / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(times):
                archive.writestr(f"archive/data/{number}", bytes(64 << 20))
        contents = json.loads((part / CONTENTS).read_text())
        contents["files"][f"agent/{name}"] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
        (part / CONTENTS).write_text(json.dumps(contents))
        _name(part)

    return harm


def _name(part: Path) -> None:
    result = json.loads((part.parent / RESULT).read_text())
    result["checkpoint"]["sha256"] = sha256(part / CONTENTS)
    result["seal"] = seal(result)
    (part.parent / RESULT).write_text(json.dumps(result))


@pytest.mark.parametrize(
    ("harm", "line"),
    [
        (_without, "has no checkpoint-[0-9]+, which a replay needs; submit the runs folder"),
        (_other_weights, "is not the checkpoint that the run's result names"),
        (_changed_weights, "is not what the run wrote"),
        (_link, "is a symbolic link"),
        (_outside, "lists .*, which is not a file of a checkpoint"),
        (_no_weights, "agent 'tally' cannot load the checkpoint"),
        (_bomb("agent.pt", 2), "agent.pt is compressed and unpacks to 134,217,728 bytes"),
        (_bomb("other.npz", 2), "unpacks to more than 100,000,000 bytes"),
    ],
)
def test_a_checkpoint_that_is_not_the_runs_own_is_refused_in_one_line(harm, line, entry, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "MOST_BYTES", 100_000_000)
    harm(_checkpoint(entry))
    with pytest.raises(InvalidData, match=line) as raised:
        adding.add(entry, tmp_path / "kept", replay=asked(4))
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "kept").exists()


def test_another_version_of_the_simulator_refuses_the_replay_and_names_what_to_install(entry, tmp_path, monkeypatch):
    for run in find_runs(entry / "runs"):
        manifest = json.loads((run.folder / MANIFEST).read_text())
        manifest["protocol_data"]["simulators"] = manifest["packages"] = {"mujoco": "0.9"}
        (run.folder / MANIFEST).write_text(json.dumps(manifest))
        reseal(Run(run.folder))
    runs = [run.folder for run in find_runs(entry / "runs")][:2]
    with pytest.raises(UserError, match=r"recorded under mujoco 0\.9, here it is .*; install mujoco==0\.9"):
        Replays()(runs, [True, False])


@pytest.mark.parametrize("number", [0, -1, 5])
def test_a_number_of_runs_that_cannot_be_drawn_is_refused(number, entry, tmp_path):
    with pytest.raises(UserError, match="--replay must be 1 to 4, the finished runs of this submission"):
        adding.add(entry, tmp_path / "kept", replay=asked(number))


def test_the_draw_is_the_maintainers_own_and_another_each_time(entry, tmp_path):
    seen = set()
    for turn in range(4):
        said: list[str] = []
        adding.add(entry, tmp_path / f"kept-{turn}", replay=asked(1, seed=None, said=said))
        seen.add(said[0].split(":")[0])
    assert len(seen) == 4


HEADER = "method,task,seed,env_step,score\n"
FIRST_SEED = [line for line in curves().splitlines() if line.split(",")[2] == "0"]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (
            [line.replace(",0,", f",{seed},", 1) for seed in range(10) for line in FIRST_SEED],
            "hold identical records; keep one",
        ),
        ([f"m,{TASK},{seed},{QUICK.env_steps},1000" for seed in (0, 1)], "all seeds have the same score"),
    ],
    ids=["one seed ten times", "two points of 1000"],
)
def test_imported_scores_of_one_run_under_several_seeds_are_refused(rows: list[str], says: str, tmp_path: Path) -> None:
    entry = published(tmp_path / "entry", HEADER + "\n".join(rows) + "\n")
    with pytest.raises(InvalidData, match=says):
        adding.add(entry, tmp_path / "board")
    assert not (tmp_path / "board").exists()
