"""Score formats: what each file says, what is converted, and what a bad one is answered with."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.commands import ExportCommand, ImportCommand
from analysis.scores import exchange, formats, tasks
from analysis.scores.import_options import Options
from analysis.scores.per_run import select
from analysis.scores.table import read
from dreamer_bench_base import InvalidData
from tests.analysis.made_up_scores import REFERENCE, needs_reference

DANIJAR = [
    {"task": "dmc_walker_walk", "method": "m", "seed": "0", "xs": [10, 20], "ys": [1.5, 2.5]},
    {"task": "atari_pong", "method": "m", "seed": 1, "xs": [10.0], "ys": [-21]},
]
TIDY = "method,task,seed,env_step,score\nm,walker_walk,0,10,1.5\nm,walker_walk,0,20,2.5\nm,pong,1,10,-21\n"
MARL = {
    "dmc": {
        "walker_walk": {
            "m": {"seed_0": {"step_0": {"step_count": 10, "return": [1.5]}, "step_1": {"step_count": 20, "return": [2.5]}}}
        }
    },
    "atari": {"pong": {"m": {"run_1": {"step_0": {"step_count": 10, "return": [-21]}}}}},
}
POINTS = [("m", "atari_pong", "1", 10, -21.0), ("m", "dmc_walker_walk", "0", 10, 1.5), ("m", "dmc_walker_walk", "0", 20, 2.5)]


def points(frame: pd.DataFrame) -> list[tuple[object, ...]]:
    return list(frame[["method", "task", "seed", "env_steps", "score"]].itertuples(index=False, name=None))


def write(path: Path, content: object) -> Path:
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("content", [DANIJAR, TIDY, MARL], ids=["danijar", "tidy", "marl-eval"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_three_formats_say_the_same(tmp_path: Path, content: object, suffix: str) -> None:
    frame, notes = formats.read_file(write(tmp_path / f"scores{suffix}", content))
    assert points(frame) == POINTS
    assert ["'step_count' is read as simulator steps" in note for note in notes] == ([True] if content is MARL else [])


def test_tdmpc2_names_its_task_in_the_file_name(tmp_path: Path) -> None:
    frame, _ = formats.read_file(write(tmp_path / "cup-catch.csv", "step,reward,seed\n0,1.0,3\n500000,2.0,3\n"))
    assert points(frame) == [("tdmpc2", "dmc_cup_catch", "3", 0, 1.0), ("tdmpc2", "dmc_cup_catch", "3", 500_000, 2.0)]


def test_drqv2_hours_become_device_seconds(tmp_path: Path) -> None:
    text = (
        ",agent,task,seed,frame,episode_reward,hour\n"
        "0,DrQ-v2,acrobot_swingup,1,0,10.5,0.0\n"
        "1,DrQ-v2,acrobot_swingup,1,20000,2.0,0.5\n"
    )
    frame, _ = formats.read_file(write(tmp_path / "x.csv", text))
    assert points(frame)[1] == ("DrQ-v2", "dmc_acrobot_swingup", "1", 20_000, 2.0)
    assert frame["device_seconds"].tolist() == [0.0, 1_800.0]


def test_dopamine_runs_are_told_apart_by_their_order(tmp_path: Path) -> None:
    entries = [{"Iteration": i, "Value": v, "Agent": "DQN"} for v in (1.0, 2.0) for i in (0, 1)]
    frame, _ = formats.read_file(write(tmp_path / "airraid.json", entries))
    assert points(frame) == [
        ("DQN", "atari_air_raid", s, x, float(v)) for s, v in (("0", 1), ("1", 2)) for x in (1_000_000, 2_000_000)
    ]


def test_marl_eval_episodes_and_absolute_metrics(tmp_path: Path) -> None:
    run = {"absolute_metrics": {"return": [5, 6]}, "step_1": {"step_count": 10, "return": [1, 2]}}
    frame, _ = formats.read_file(write(tmp_path / "x.json", {"dmc": {"walker_walk": {"m": {"seed_0": run}}}}))
    assert frame[["env_steps", "episode", "score", "final"]].values.tolist() == [
        [10, 0, 1.0, False],
        [10, 0, 5.0, True],
        [10, 1, 2.0, False],
        [10, 1, 6.0, True],
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dmc_ball_in_cup_catch", "dmc_cup_catch"),
        ("cup_catch", "dmc_cup_catch"),
        ("walker-walk", "dmc_walker_walk"),
        ("Walker Walk", "dmc_walker_walk"),
        ("jamesbond", "atari_jamesbond"),
        ("james_bond", "atari_jamesbond"),
        ("ALE/MsPacman-v5", "atari_ms_pacman"),
        ("atari_up_n_down", "atari_up_n_down"),
        ("PongNoFrameskip-v4", "atari_pong"),
        ("BattleZone-v0", "atari_battle_zone"),
        ("dm_control/walker-walk-v0", "dmc_walker_walk"),
        ("Hopper-v4", "gym:Hopper-v4"),
        ("mw-push-back", "metaworld_push_back"),
        ("crafter-reward", "crafter_reward"),
        ("gym:Pendulum-v1", "gym:Pendulum-v1"),
        ("probe_one_step", "probe_one_step"),
    ],
)
def test_task_aliases(name: str, expected: str) -> None:
    assert tasks.canonical(name) == expected


def test_an_unknown_task_gets_the_nearest_name() -> None:
    with pytest.raises(InvalidData, match="did you mean 'dmc_walker_walk'"):
        tasks.canonical("dmc_walker_wlak")
    for name in ("doorkey", "minigrid_doorkey", "dmc_doorkey", "Pong-ram-v4", "Hopper-v9"):
        with pytest.raises(InvalidData, match=r"--own-tasks|did you mean"):
            tasks.canonical(name)
    assert tasks.canonical("minigrid_doorkey", own=("minigrid_*",)) == "minigrid_doorkey"
    assert tasks.canonical("doorkey", suite="minigrid") == "minigrid_doorkey"


def test_agent_steps_are_converted_and_only_when_said(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", TIDY.replace("env_step", "agent_step"))
    with pytest.raises(InvalidData, match=r"x.csv:2: the steps are agent steps; say .* `import --action-repeat N`"):
        formats.read_file(path)
    frame, _ = formats.read_file(path, Options(action_repeat=4))
    assert frame["env_steps"].tolist() == [40, 40, 80]
    plain = write(tmp_path / "y.csv", TIDY.replace("env_step", "step"))
    assert formats.read_file(plain, Options(unit="agent_steps", action_repeat=2))[0]["env_steps"].tolist() == [20, 20, 40]
    with pytest.raises(ValueError, match="nothing to convert"):
        formats.read_file(plain, Options(action_repeat=2))
    overruled, notes = formats.read_file(path, Options(unit="frames"))
    assert overruled["env_steps"].tolist() == [10, 10, 20]
    assert any("'agent_step' counts agent_steps by its name, and is read as frames" in note for note in notes)


def test_nulls_are_named_or_dropped_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "x.json", [{**DANIJAR[0], "ys": [None, 2.5]}])
    with pytest.raises(InvalidData, match=r"x\.json, entry 1, point 1: m, dmc_walker_walk, seed 0 has no finite score"):
        formats.read_file(path)
    frame, notes = formats.read_file(path, Options(nulls="drop"))
    assert points(frame) == [POINTS[2]]
    assert "1 point without a score left out" in notes[0]


def test_aggregates_among_the_runs_are_left_out_and_said_so(tmp_path: Path) -> None:
    frame, notes = formats.read_file(write(tmp_path / "x.json", [*DANIJAR, {**DANIJAR[0], "task": "stats_normalized_mean"}]))
    assert points(frame) == POINTS
    assert "stats_" in notes[0]


BAD = {
    "cut.csv.gz": (gzip.compress(TIDY.encode() * 50)[:60], r"cut.csv.gz:\d+: the gzip stream is cut short"),
    "empty.csv": (b"  \n", "the file is empty"),
    "binary.csv": (b"method,task\n\xff\xfe,1\n", r"binary.csv:2: is not UTF-8 text"),
    "npz.csv": (b"PK\x03\x04rest", "the zip archive is damaged; copy"),
    "other.csv": (b"a,b,c\n1,2,3\n", r"other.csv:1: is not a known score file"),
    "nosteps.csv": (b"method,task,seed,score\nm,pong,0,1\n", r"nosteps.csv:1: has no column of steps"),
    "units.csv": (b"method,task,seed,env_step,agent_step,score\nm,pong,0,4,1,1\n", r"units.csv:1: mixes units"),
    "unit.csv": (
        b"method,task,seed,step,score,unit\nm,pong,0,4,1,frames\nm,pong,0,8,1,agent_steps\n",
        r"unit.csv:3: mixes the units",
    ),
    "word.csv": (
        b"method,task,seed,env_step,score\nm,pong,0,10,1\nm,pong,0,20,high\n",
        r"word.csv:3: column 'score' holds 'high'",
    ),
    "hole.csv": (b"method,task,seed,env_step,score\nm,pong,0,10,\n", r"hole.csv:2: m, atari_pong, seed 0 has no finite score"),
    "infinite.csv": (b"method,task,seed,env_step,score\nm,pong,0,10,inf\n", r"infinite.csv:2: .* has no finite score"),
    "negative.csv": (b"method,task,seed,env_step,score\nm,pong,0,-1,3\n", r"negative.csv:2: step is -1"),
    "twice.csv": (
        b"method,task,seed,env_step,score\nm,pong,0,10,1\nm,pong,0,10,2\n",
        r"twice.csv:3: m, atari_pong, seed 0 at 10 env_steps is there twice",
    ),
    "ragged.csv": (
        b"method,task,seed,env_step,score\nm,pong,0,10,1\nm,pong,0,10,2,3\n",
        r"ragged.csv:3: has 6 fields instead of 5",
    ),
    "nobody.csv": (b"method,task,seed,env_step,score\nm,pong,,10,1\n", r"nobody.csv:2: has no seed"),
    "typo.csv": (
        b"method,task,seed,env_step,score\nm,wlaker_walk,0,10,1\n",
        r"typo.csv:2: task 'wlaker_walk' is not known; did you mean",
    ),
    "header.csv": (b"method,task,seed,env_step,score,score\nm,pong,0,1,2,3\n", r"header.csv:1: has two columns 'score'"),
    "cut.json": (b'[{"task": "dmc_walker_walk",\n"method"', r"cut.json:2: is no JSON"),
    "keys.json": (b'[{"task": "dmc_walker_walk"}]', r"keys.json, entry 1: lacks method, seed, xs, ys"),
    "length.json": (b'[{"task":"atari_pong","method":"m","seed":0,"xs":[1,2],"ys":[1]}]', "are no lists of one length"),
    "type.json": (b'[{"task":"atari_pong","method":"m","seed":0,"xs":[1,2],"ys":[1,"x"]}]', r"entry 1, point 2: is \(2, 'x'\)"),
    "dopamine.json": (b'[{"Iteration": 0, "Agent": "DQN"}]', r"dopamine.json, entry 1: lacks Iteration, Value or Agent"),
    "marl.json": (b'{"dmc": {"walker_walk": {"m": 3}}}', r"marl.json, dmc/walker_walk/m: is no object"),
    "metric.json": (
        b'{"dmc": {"walker_walk": {"m": {"seed_0": {"step_0": {"step_count": 1, "win": [1]}}}}}}',
        "holds none of return",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_answered_in_one_line_with_place_and_cure_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    data, message = BAD[name]
    (tmp_path / name).write_bytes(data)
    good = write(tmp_path / "good.csv", TIDY.replace("m,", "good,"))
    out = tmp_path / "out.csv.gz"
    with pytest.raises(ValueError, match=message) as error:
        exchange.import_files(ImportCommand(format="auto", files=(good, tmp_path / name), out=out))
    assert "\n" not in str(error.value)
    assert ";" in str(error.value)  # the cure
    assert not out.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "good.csv"])


def test_import_leaves_the_old_file_alone_when_the_new_one_is_bad(tmp_path: Path) -> None:
    out = write(tmp_path / "scores.csv", "precious")
    with pytest.raises(InvalidData):
        exchange.import_files(
            ImportCommand(format="auto", files=(write(tmp_path / "bad.csv", BAD["word.csv"][0].decode()),), out=out)
        )
    assert out.read_text() == "precious"


@pytest.mark.parametrize("out", ["", "missing/scores.csv"])
def test_a_place_that_cannot_be_written_is_refused_before_work(tmp_path: Path, out: str) -> None:
    with pytest.raises(ValueError, match=r"is a folder|does not exist"):
        exchange.import_files(ImportCommand(format="auto", files=(tmp_path / "nowhere",), out=tmp_path / out))


@pytest.mark.parametrize("format", ["tidy", "danijar", "marl-eval"])
def test_export_and_import_return_the_same_points(tmp_path: Path, format: str) -> None:
    source = write(tmp_path / "in.json", DANIJAR)
    out = tmp_path / "out.gz"
    exchange.export_scores(ExportCommand(format=format, scores=(source,), out=out))  # type: ignore[arg-type]
    assert points(formats.read_file(out)[0]) == POINTS


def test_exports_of_the_same_scores_are_the_same_bytes(tmp_path: Path) -> None:
    source = write(tmp_path / "in.json", DANIJAR)
    first, second = tmp_path / "one.csv.gz", tmp_path / "two.csv.gz"
    for out in (first, second):
        exchange.import_files(ImportCommand(format="auto", files=(source,), out=out))
    assert first.read_bytes() == second.read_bytes()


def test_rliable_archive_holds_runs_by_tasks(tmp_path: Path) -> None:
    text = "method,task,seed,env_step,score\n" + "".join(
        f"m,{t},{s},10,{100 * i + s}\n" for i, t in enumerate(("pong", "qbert")) for s in (0, 1)
    )
    exchange.export_scores(ExportCommand(format="rliable", scores=(write(tmp_path / "x.csv", text),), out=tmp_path / "x.npz"))
    with np.load(tmp_path / "x.npz") as archive:
        assert archive["tasks"].tolist() == ["atari_pong", "atari_qbert"]
        assert archive["m"].tolist() == [[0, 100], [1, 101]]
    any_name = write(tmp_path / "z.csv", text.replace("m,", "allow_pickle,") + text.split("\n", 1)[1].replace("m,", "file,"))
    exchange.export_scores(ExportCommand(format="rliable", scores=(any_name,), out=tmp_path / "z.npz"))
    with np.load(tmp_path / "z.npz") as archive:
        assert archive["allow_pickle"].tolist() == archive["file"].tolist() == [[0, 100], [1, 101]]
    ragged = write(tmp_path / "y.csv", text + "m,pong,2,10,5\n")
    with pytest.raises(InvalidData, match="m has 2 runs on atari_qbert and 3 elsewhere"):
        exchange.export_scores(ExportCommand(format="rliable", scores=(ragged,), out=tmp_path / "y.npz"))
    assert not (tmp_path / "y.npz").exists()


@needs_reference
@pytest.mark.parametrize(
    ("raw", "derived", "method", "name"),
    [
        ("danijar_dreamer/dreamer.json.gz", "dmc_vision_dreamerv1.csv.gz", "dreamer", "dreamer_v1"),
        ("danijar_dreamerv2/dmc-vision-dreamerv2.json.gz", "dmc_vision_dreamerv2.csv.gz", "dreamerv2", "dreamer_v2"),
        ("denisyarats_drq/dmc_dreamer_bench.csv.gz", "dmc_vision_drq_dreamer_bench.csv.gz", "DrQ", "drq"),
    ],
)
def test_published_files_read_as_the_tables_derived_from_them(raw: str, derived: str, method: str, name: str) -> None:
    """The CSVs beside the raw files were derived by other code."""
    ours, theirs = read([REFERENCE / "raw" / raw]), read([REFERENCE / derived])
    assert ours["method"].unique().tolist() == [method]
    merged = ours.assign(method=name).merge(theirs, on=["method", "task", "seed", "env_steps"], how="outer", indicator=True)
    assert (merged["_merge"] == "both").all()
    np.testing.assert_allclose(merged["score_x"], merged["score_y"], rtol=1e-9)


@needs_reference
@pytest.mark.parametrize(
    ("pattern", "task", "runs"),
    [
        ("facebookresearch_drqv2/curves/dmc_walker_walk.csv.gz", "dmc_walker_walk", 10),
        ("nicklashansen_tdmpc/results/cup-catch.csv", "dmc_cup_catch", 5),
        ("google_dopamine/baselines_atari_data/mspacman.json.gz", "atari_ms_pacman", 30),
        ("alexlee-gk_slac/dm_control_walker_walk_slac.csv.gz", "dmc_walker_walk", 50),
    ],
)
def test_published_files_of_the_other_formats(pattern: str, task: str, runs: int) -> None:
    frame = read([REFERENCE / "raw" / pattern])
    assert frame["task"].unique().tolist() == [task]
    assert len(frame[["method", "seed"]].drop_duplicates()) == runs


@needs_reference
def test_published_means_hold() -> None:
    """Mean of last points 805.50: stated beside the data, computed by other code."""
    frame = read([REFERENCE / "dmc_vision_dreamerv1.csv.gz"])
    assert select(frame, at=5_000_000, short="carry").scores["score"].mean() == pytest.approx(805.50, abs=0.005)
