"""Files of the field: each comes out as what its makers mean, or is refused with a line. The files: cases/."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.commands import AggregateCommand, ExportCommand, ImportCommand
from analysis.scores import exchange, formats, per_run, tasks
from analysis.scores.formats import source
from analysis.scores.formats.naming import from_path
from analysis.scores.import_options import Options
from analysis.statistics.aggregate_table import aggregate_scores
from dreamer_bench_base import InvalidData, UserError
from suites import catalog as suites

CASES = Path(__file__).parents[1] / "cases"
ONE = {"method": "m", "task": "walker_walk", "seed": "3"}


def read(name: str, **options: object) -> tuple[pd.DataFrame, str]:
    frame, notes = formats.read_file(CASES / name, Options(**options))  # type: ignore[arg-type]
    return frame, "\n".join(notes)


def points(frame: pd.DataFrame) -> list[tuple[int, float]]:
    return list(zip(frame["env_steps"], frame["score"], strict=True))


def test_two_spellings_of_atari_are_the_same_tasks_and_the_same_scores() -> None:
    plain, _ = read("atari_plain_ids.csv")
    other, _ = read("atari_noframeskip_ids.csv")
    columns = ["method", "task", "seed", "env_steps", "score"]
    pd.testing.assert_frame_equal(plain[columns], other[columns])
    assert sorted(plain["task"].unique()) == ["atari_battle_zone", "atari_breakout", "atari_pong"]


def test_every_name_of_the_suites_is_in_the_table_of_names() -> None:
    for name in suites.names():
        assert tasks.canonical(name) == name
    for suite in suites.BUILT_IN:
        for alias, name in suite.load().ALIASES.items():
            assert tasks.canonical(alias) == name, alias


def test_gymnasium_registers_the_versions_in_the_table() -> None:
    import gymnasium

    registered = {name for name in gymnasium.registry if "/" not in name and not name.startswith(("phys2d", "tabular"))}
    known = {name.removeprefix("gym:") for name in tasks.table()["gym"].values()}
    missing = {name for name in registered if name.rsplit("-v", 1)[0] in tasks.MUJOCO or name.split("-v")[0] in tasks.OTHER_GYM}
    assert missing - known == set()
    assert len(missing & known) > 20


def test_a_files_stem_becomes_a_task_only_with_a_word() -> None:
    frame, notes = read("pong_Impala.json")
    assert frame["task"].unique().tolist() == ["atari_pong"]
    assert "task 'atari_pong' assumed; say otherwise with `import --task`" in notes
    with pytest.raises(InvalidData, match=r"task 'hopper' is not known.*`import --task` names it"):
        read("hopper.json")


@pytest.mark.parametrize("choice", [{"task": "Hopper-v4"}, {"suite": "mujoco"}])
def test_an_iteration_on_mujoco_is_a_thousand_steps(choice: dict[str, str]) -> None:
    frame, notes = read("hopper.json", **choice)
    assert sorted(frame["env_steps"].unique()) == [1_000, 11_000, 21_000, 31_000, 41_000, 51_000]
    assert "read as 1,000 simulator steps" in notes
    own, _ = read("hopper.json", **choice, iteration_steps=500)
    assert own["env_steps"].max() == 51 * 500


def test_an_iteration_of_an_unknown_family_is_asked_for() -> None:
    with pytest.raises(
        InvalidData, match=r"counts iterations, whose length on dmc_hopper_hop is not known; .*--iteration-steps N"
    ):
        read("hopper.json", task="hopper_hop")


@pytest.mark.parametrize("name", ["drq_step_is_agent_steps.csv", "sac_eval.csv", "progress.csv", "metrics.jsonl"])
def test_an_assumed_unit_is_said_and_can_be_overruled(name: str) -> None:
    assumed, notes = read(name, **ONE)
    assert "is read as simulator steps, since the file does not say" in notes
    assert "--unit agent_steps --action-repeat N" in notes
    converted, notes = read(name, **ONE, unit="agent_steps", action_repeat=4)
    assert converted["env_steps"].tolist() == (4 * assumed["env_steps"]).tolist()
    assert "is read as" not in notes


@pytest.mark.parametrize("name", ["crafter_reward-m.json", "drqv2_eval.csv", "hopper.json", "evaluations.npz", "0.monitor.csv"])
def test_a_unit_can_be_given_for_every_format(name: str) -> None:
    more: dict[str, object] = {"iteration_steps": 10} if name == "hopper.json" else {}
    more |= {"task": "walker_walk"} if name in ("hopper.json", "crafter_reward-m.json") else ONE
    frame, _ = read(name, unit="env_steps", **more)
    doubled, _ = read(name, unit="agent_steps", action_repeat=2, **more)
    assert doubled["env_steps"].tolist() == (2 * frame["env_steps"]).tolist()


def test_atari_100k_papers_are_read_with_a_method_and_a_budget() -> None:
    frame, _ = read("atari100k_final_scores.json", method="iris", at=400_000)
    assert frame["env_steps"].unique().tolist() == [400_000]
    assert frame[frame["task"] == "atari_ms_pacman"].sort_values("seed")["score"].tolist() == [77.8, 58.4, 39.7, 81.0, 37.3]
    with pytest.raises(InvalidData, match=r"--at 400000"):
        read("atari100k_final_scores.json", method="iris")
    with pytest.raises(InvalidData, match=r"does not say its method; give them with `import --method …`"):
        read("atari100k_final_scores.json", at=400_000)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("metrics.jsonl", [(1000 * n, 30.0 + n) for n in range(1, 6)]),
        ("0.monitor.csv", [(3300, -20.0), (6900, -19.0), (10400, -18.0)]),
        ("evaluations.npz", [(10000, 1.0), (10000, 2.0), (20000, 3.0), (20000, 4.0), (30000, 5.0), (30000, 6.0)]),
        ("drqv2_eval.csv", [(0, 30.0), (20000, 60.0)]),  # its column frame, not step
        ("sac_eval.csv", [(10000, 32.0), (20000, 63.0)]),
        ("progress.csv", [(389, 168.0), (645, 84.0)]),
    ],
)
def test_logs_of_one_run_are_read(name: str, expected: list[tuple[int, float]]) -> None:
    frame, _ = read(name, **ONE)
    assert points(frame) == expected
    assert set(frame["seed"]) == {"3"}


def test_what_a_log_does_not_say_is_asked_for_in_one_line() -> None:
    with pytest.raises(
        InvalidData, match=r"sac_eval.csv: does not say its method or task or seed; .* `import --method … --task … --seed …`"
    ):
        read("sac_eval.csv")
    frame, _ = read("0.monitor.csv", method="a2c", seed="0")
    assert set(frame["task"]) == {"atari_pong"}  # from env_id in the file


def test_reward_is_taken_where_ys_is_missing_and_said() -> None:
    frame, notes = read("crafter_reward-m.json")
    assert frame[frame["seed"] == "1"]["score"].tolist() == [1.1, 3.1, 3.1]
    assert "scores are 'reward' in 3 runs" in notes


def test_an_unknown_file_is_refused_with_the_formats_that_exist() -> None:
    with pytest.raises(InvalidData, match=r"is not a known score file; expected one of tidy, danijar, .*tensorboard, rliable"):
        read("tianshou_result.json")


def test_procgen_is_read() -> None:
    frame, _ = read("procgen.json.gz", nulls="drop")
    assert points(frame) == [(500_000, 5.0)]
    assert set(frame["task"]) == {"procgen_bigfish"}


def test_mixed_suites_are_neither_averaged_nor_ranked(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidData, match=r"the suites atari and dmc, .*--tasks 'atari_\*'"):
        aggregate_scores(AggregateCommand(scores=(CASES / "mixed_suites.csv",), reps=100))
    with pytest.raises(InvalidData, match=r"2 tasks of atari are raw and have no common scale"):
        aggregate_scores(AggregateCommand(scores=(CASES / "mixed_suites.csv",), reps=100, tasks=("atari_*",), normalize="none"))
    assert capsys.readouterr().out == ""
    assert aggregate_scores(AggregateCommand(scores=(CASES / "mixed_suites.csv",), reps=100, tasks=("dmc_*",))) == 0
    said = capsys.readouterr()
    assert "0.8010" in said.out
    assert (
        aggregate_scores(AggregateCommand(scores=(CASES / "mixed_suites.csv",), reps=100, tasks=("pong",), normalize="none"))
        == 0
    )
    said = capsys.readouterr()
    assert "optimality-gap" not in said.out
    assert "no optimality gap" in said.err


def test_rllib_stable_baselines_and_wandb_are_read(tmp_path: Path) -> None:
    rllib = tmp_path / "progress.csv"
    rllib.write_text("timesteps_total,training_iteration,env_runners/episode_return_mean\n4000,1,\n8000,2,20.5\n12000,3,30.5\n")
    frame, notes = formats.read_file(rllib, Options(**ONE))  # type: ignore[arg-type]
    assert points(frame) == [(8000, 20.5), (12000, 30.5)]
    assert "1 rows without 'env_runners/episode_return_mean' left out" in "\n".join(notes)
    sb3 = tmp_path / "sb3.csv"
    sb3.write_text("rollout/ep_rew_mean,time/total_timesteps,eval/mean_reward\n1.0,100,\n,200,5.0\n2.0,200,\n")
    assert points(formats.read_file(sb3, Options(**ONE))[0]) == [(200, 5.0)]  # type: ignore[arg-type]
    wandb = tmp_path / "export.csv"
    run = "{} - charts/episodic_return"
    names = [name for seed in (1, 2) for name in _with_ends(run.format(f"Hopper-v4__ppo__{seed}"))]
    wandb.write_text(",".join(['"global_step"', *(f'"{n}"' for n in names)]) + "\n100,1,1,1,,,\n200,2,2,2,7,7,7\n")
    frame, _ = formats.read_file(wandb, Options(pattern="{task}__{method}__{seed}"))
    assert frame[["method", "task", "seed", "env_steps", "score"]].values.tolist() == [
        ["ppo", "gym:Hopper-v4", "1", 100, 1.0],
        ["ppo", "gym:Hopper-v4", "1", 200, 2.0],
        ["ppo", "gym:Hopper-v4", "2", 200, 7.0],
    ]


def _with_ends(name: str) -> list[str]:
    return [name, f"{name}__MIN", f"{name}__MAX"]


def test_tensorboard_event_files_are_read(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(tmp_path))
    for step, score in ((100, 1.5), (200, 2.5)):
        values = [Summary.Value(tag="eval/mean_reward", simple_value=score), Summary.Value(tag="loss", simple_value=9.0)]
        writer.add_event(Event(step=step, summary=Summary(value=values)))
    writer.close()
    file = next(iter(tmp_path.iterdir()))
    frame, notes = formats.read_file(file, Options(**ONE))  # type: ignore[arg-type]
    assert points(frame) == [(100, 1.5), (200, 2.5)]
    assert "scores are the tag 'eval/mean_reward'" in "\n".join(notes)
    assert points(formats.read_file(file, Options(**ONE, score="loss"))[0]) == [(100, 9.0), (200, 9.0)]  # type: ignore[arg-type]


def test_method_task_and_seed_come_from_the_path(tmp_path: Path) -> None:
    for method in ("drq", "sac"):
        for seed in (0, 1):
            folder = tmp_path / method / "walker_walk" / f"seed-{seed}"
            folder.mkdir(parents=True)
            (folder / "eval.csv").write_text(f"episode,episode_reward,step\n10,{seed}.5,1000\n")
    out = tmp_path / "scores.csv"
    pattern = "{method}/{task}/seed-{seed}/*.csv"
    exchange.import_files(ImportCommand(format="auto", files=(tmp_path,), pattern=pattern, out=out))
    assert out.read_text().splitlines()[1:] == [
        f"{method},dmc_walker_walk,{seed},1000,{seed}.5,eval.csv" for method in ("drq", "sac") for seed in (0, 1)
    ]
    assert from_path("a/b/seed-7/x.csv", pattern) == {"method": "a", "task": "b", "seed": "7"}
    with pytest.raises(InvalidData, match="does not match the pattern"):
        from_path("a/b/7/x.csv", pattern)
    for wrong, says in (("{method}/{step}.csv", "not {step}"), ("{seed}/{seed}.csv", "twice")):
        with pytest.raises(UserError, match=says):
            from_path("a/b.csv", wrong)
    with pytest.raises(UserError, match=r"is a folder; .*--pattern"):
        exchange.import_files(ImportCommand(format="auto", files=(tmp_path,), out=out))


def test_own_tasks_are_declared_once_and_stay_declared(tmp_path: Path) -> None:
    file, out = tmp_path / "own.csv", tmp_path / "scores.csv"
    file.write_text("method,task,seed,env_step,score\nm,rooms,0,10,1.5\nm,rooms,1,10,2.5\nm,rooms,2,10,2.5\n")
    with pytest.raises(InvalidData, match=r"own.csv:2: task 'rooms' is not known; .*--own-tasks 'rooms'"):
        exchange.import_files(ImportCommand(format="auto", files=(file,), out=out))
    exchange.import_files(ImportCommand(format="auto", files=(file,), out=out, own_tasks=("rooms",)))
    assert aggregate_scores(AggregateCommand(scores=(out,), reps=100)) == 0
    with pytest.raises(InvalidData, match="--own-tasks"):
        aggregate_scores(AggregateCommand(scores=(file,), reps=100))
    assert aggregate_scores(AggregateCommand(scores=(file,), reps=100, own_tasks=("roo*",))) == 0


def test_our_own_rliable_archive_comes_back(tmp_path: Path) -> None:
    archive, out = tmp_path / "x.npz", tmp_path / "x.csv"
    exchange.export_scores(ExportCommand(format="rliable", scores=(CASES / "atari_plain_ids.csv",), out=archive))
    exchange.import_files(ImportCommand(format="auto", files=(archive,), out=out))
    columns = ["method", "task", "seed", "env_steps", "score"]
    pd.testing.assert_frame_equal(formats.read_file(out)[0][columns], read("atari_plain_ids.csv")[0][columns])
    exchange.export_scores(
        ExportCommand(format="rliable", scores=(CASES / "atari_plain_ids.csv",), out=archive, normalize="atari-human")
    )
    with pytest.raises(InvalidData, match="in units of atari-human@1, not returns"):
        formats.read_file(archive)
    for name in ("tasks", "a.npy"):  # NumPy reads "a.npy" as the array of "a"
        frame = read("atari_plain_ids.csv")[0].replace({"method": {"alpha": name}})
        with pytest.raises(InvalidData, match=f"cannot hold a method named '{name}'"):
            exchange.rliable_npz(per_run.select(frame))


def bomb() -> bytes:
    return gzip.compress(b"\0" * (source.MOST_BYTES + 1), compresslevel=1)


def npz_of(**entries: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(f"{name}.npy", data)
    return buffer.getvalue()


def npy(array: object, *, pickled: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array(array, dtype=object if pickled else None), allow_pickle=pickled)
    return buffer.getvalue()


def promises_too_much() -> bytes:
    text = "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,), }"
    header = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()


HOSTILE = {
    "bomb.csv": (bomb, "holds more than 256 MiB"),
    "nested.json": (lambda: b"[" * 200_000, "is nested too deeply"),
    "nested_lines.json": (lambda: b'{"a":' * 200_000, "is not a known score file|is nested too deeply"),
    "huge.json": (lambda: b'[{"task":"pong","method":"m","seed":0,"xs":[1' + b"0" * 400 + b'],"ys":[1]}]', "is .*1000"),
    "infinite.json": (lambda: b'[{"task":"pong","method":"m","seed":0,"xs":[Infinity],"ys":[1]}]', "step is inf"),
    "far.csv": (lambda: b"method,task,seed,env_step,score\nm,pong,0,1e300,1\n", "step is 1e\\+300"),
    "pickled.npz": (lambda: npz_of(timesteps=npy([1]), results=npy([{}], pickled=True)), "holds Python objects"),
    "promise.npz": (lambda: npz_of(timesteps=npy([1]), results=promises_too_much()), "promises more than the file holds"),
    "shapes.npz": (lambda: npz_of(timesteps=npy([1, 2]), results=npy([1.0])), "do not fit"),
    "text.npz": (lambda: npz_of(timesteps=npy(["a"]), results=npy([1.0])), "do not fit"),
    "other.npz": (lambda: npz_of(weights=npy([1.0])), "is not a known score file"),
    "dopamine.json": (lambda: b'[{"Iteration": 1e999, "Value": 1, "Agent": "a"}]', "step is inf"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_one_line(tmp_path: Path, name: str) -> None:
    make, says = HOSTILE[name]
    (tmp_path / name).write_bytes(make())  # type: ignore[operator]
    with pytest.raises(InvalidData, match=says) as error:
        formats.read_file(tmp_path / name, Options(method="m", task="pong", seed="0"))
    assert "\n" not in str(error.value)


def test_several_gzip_members_are_one_text(tmp_path: Path) -> None:
    parts = [b"method,task,seed,env_step,score\n", b"m,pong,0,10,1\n", b"m,pong,0,20,2\n"]
    (tmp_path / "x.csv.gz").write_bytes(b"".join(gzip.compress(part) for part in parts))
    assert points(formats.read_file(tmp_path / "x.csv.gz")[0]) == [(10, 1.0), (20, 2.0)]


def test_a_line_of_json_lines_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps({"step": 1, "score": 2}) + "\n{broken\n")
    with pytest.raises(InvalidData, match=r"x.jsonl:2: is not a JSON object"):
        formats.read_file(tmp_path / "x.jsonl", Options(**ONE))  # type: ignore[arg-type]
