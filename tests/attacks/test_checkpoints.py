"""A stranger's checkpoint: what asks for more than it holds is refused in a line before it is loaded, by every command."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import tracemalloc
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from agents.recipes import dreamer
from dreamer_bench import ImagineCommand
from dreamer_bench_base import InvalidData, UserError
from dreamer_bench_files import sha256
from dreamer_bench_weights import check_weights
from protocols import catalog
from protocols.records.checkpoint import CONTENTS
from protocols.running import bounded
from protocols.running.launch import run_cohort
from protocols.running.load_run import revive
from protocols.running.playback_commands import EvaluateCommand, VideoCommand
from protocols.spec import ScoreRule
from tests.probe_runs import PROBE, request

TERABYTE = 10**12
HEAD = b"\x80\x02"


def text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def number(value: int) -> bytes:
    return b"\x8a\x08" + value.to_bytes(8, "little", signed=True)


def storage(elements: int, kind: str = "FloatStorage", key: str = "0") -> bytes:
    return b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu") + number(elements) + b"tQ"


def tensor(elements: int, size: int, stride: int = 1, offset: int = 0) -> bytes:
    """The instructions for one tensor of one dimension."""
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage(elements) + number(offset) + number(size) + b"\x85" + number(stride)
        + b"\x85\x89ccollections\nOrderedDict\n)RtR"
    )  # fmt: skip


def called(name: str, argument: bytes) -> bytes:
    return b"c" + name.replace(" ", "\n").encode() + b"\n" + argument + b"\x85R"


def laughs(levels: int) -> bytes:
    """Lists of which each holds the one before twice."""
    return (
        b"(]q\x00"
        + b"".join(
            b"]" + b"(h" + bytes([level]) + b"h" + bytes([level]) + b"eq" + bytes([level + 1]) for level in range(levels)
        )
        + b"t"
    )


PICKLES = {
    "a storage that declares terabytes": (tensor(TERABYTE, 4), "storage 0 declares 1,000,000,000,000 elements"),
    "a tensor of terabytes over a small storage": (tensor(4, TERABYTE), "does not fit its storage of 4 elements"),
    "a number repeated to terabytes": (tensor(4, TERABYTE, stride=0), "does not fit its storage of 4 elements"),
    "a stride that leaves the storage": (tensor(4, 2, stride=TERABYTE), "does not fit its storage of 4 elements"),
    "an offset behind the storage": (tensor(4, 1, offset=TERABYTE), "does not fit its storage of 4 elements"),
    "a negative stride": (tensor(4, 2, stride=-1), "no whole number of 0 or more"),
    "a storage that is not there": (storage(4, key="7"), "7"),
    "a constructor of tensors": (called("torch Tensor", number(TERABYTE)), "calls torch.Tensor"),
    "a constructor of bytes": (called("builtins bytearray", number(TERABYTE)), "calls builtins.bytearray"),
    "code": (called("os system", text("true")), "calls os.system"),
    "lists nested 100,000 deep": (b"]" * 100_000 + b"a" * 99_999, "32 levels"),
    "tuples nested 100,000 deep as a key": (b"}" + b")" + b"\x85" * 100_000 + b"Ns", "a key is a tuple"),
    "2^25 values in 250 bytes": (laughs(25), "2,000,000 values"),
    "a place in memory that takes terabytes": (b"]r\xff\xff\xff\x7f", None),
    "a text longer than the file": (b"X\xff\xff\xff\x7fab", "expected"),
    "an instruction for objects": (b"ccollections\nOrderedDict\n)\x81", "the instruction NEWOBJ"),
    "no end": (b"]", "expected|exhausted|cut short|STOP"),
}  # fmt: skip


def archive(pickled: bytes, **members: bytes) -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_STORED) as written:
        for name, data in {"data.pkl": pickled, "data/0": bytes(16), "version": b"3", **members}.items():
            written.writestr(f"archive/{name}", data)
    return found.getvalue()


@pytest.mark.parametrize("what", [name for name, (_, says) in PICKLES.items() if says is not None])
def test_what_asks_for_more_than_it_holds_is_refused_in_a_line_and_a_little_memory(what: str, tmp_path: Path) -> None:
    code, says = PICKLES[what]
    path = tmp_path / "agent.pt"
    path.write_bytes(archive(HEAD + code + (b"" if what == "no end" else b".")))
    tracemalloc.start()
    with pytest.raises(InvalidData, match=str(says)) as raised:
        check_weights(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "\n" not in str(raised.value)
    assert "nothing of it was loaded" in str(raised.value)
    assert peak < 64 << 20


def test_a_far_place_of_the_memo_takes_no_memory(tmp_path: Path) -> None:
    (tmp_path / "agent.pt").write_bytes(archive(HEAD + PICKLES["a place in memory that takes terabytes"][0] + b"."))
    check_weights(tmp_path / "agent.pt")  # a list at place 2^31: harmless where places are counted in a dictionary


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no whole zip archive"),
        (b"PK", "no whole zip archive"),
        (pickle.dumps({"a": 1}), "no whole zip archive"),
        (archive(HEAD + b"}.", **{"../../x": b"1"}), "other files than"),
        (archive(HEAD + b"}.", **{"code/__init__.py": b"1"}), "other files than"),
        (archive(HEAD + b"}.")[:-30], "no whole zip archive"),
    ],
)  # fmt: skip
def test_what_torch_does_not_write_is_refused(data: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "agent.pt").write_bytes(data)
    with pytest.raises(InvalidData, match=says):
        check_weights(tmp_path / "agent.pt")


def test_the_old_format_and_a_doubled_entry_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "agent.pt"
    torch.save({"a": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(InvalidData, match="no whole zip archive"):
        check_weights(path)
    with zipfile.ZipFile(path, "w") as written:
        written.writestr("archive/data.pkl", HEAD + b"}.")
        with pytest.warns(UserWarning, match="Duplicate name"):
            written.writestr("archive/data.pkl", HEAD + b"}.")
    with pytest.raises(InvalidData, match="other files than"):
        check_weights(path)


def test_what_agents_save_passes(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    kept: dict[str, Any] = {
        "module": module.state_dict(),
        "parameter": module[0].weight,
        "optimizer": optimizer.state_dict(),
        "shared": [torch.arange(6).reshape(2, 3).T, torch.zeros(0), torch.tensor(True), torch.ones(3, dtype=torch.bfloat16)],
        "numbers": (1, -(2**40), 0.5, None, "text", OrderedDict(a=1)),
    }
    kept["view"] = kept["shared"][0][1:]
    torch.save(kept, tmp_path / "agent.pt")
    check_weights(tmp_path / "agent.pt")


# ---------------------------------------------------------------- the commands that load one

TINY = {
    "stoch": 3, "deter": 6, "model_hidden": 6, "hidden": 6, "depth": 1, "batch_sequences": 2, "batch_length": 8,
    "prefill_env_steps": 40, "pretrain_updates": 1, "update_every_env_steps": 20, "updates": 1, "horizon": 3,
}  # fmt: skip
PIXELS = replace(
    PROBE, tasks=("probe_action",), suite_options={"pixels": True}, action_repeat=1, env_steps=40, time_limit_env_steps=20,
    num_envs=1, evaluate_every_env_steps=40, evaluate_episodes=1, final_episodes=1, score_rule=ScoreRule(kind="final"),
    agent_profile="paper", seeds=(0,),
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalog, "BUILT_IN", (PIXELS,))
        root = tmp_path_factory.mktemp("trained")
        run_cohort(request(root, protocol=PIXELS, agent="dreamer", seeds=(0,), overrides=TINY))
        (run,) = root.rglob("seed-0")
        yield run


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "seed-0"))


def commands(run: Path) -> dict[str, Callable[[], int]]:
    return {
        "evaluate": EvaluateCommand(run_folder=run, episodes=1, device="cpu").run,
        "video": VideoCommand(run_folder=run, out=run / "video.gif", device="cpu").run,
        "imagine": ImagineCommand(run_folder=run, context=2, steps=3, episodes=1, device="cpu").run,
    }


def swap(run: Path, data: bytes) -> None:
    """Other weights, with the hash that belongs to them."""
    (part,) = run.glob("checkpoint-*")
    (part / "agent" / "agent.pt").write_bytes(data)
    contents = json.loads((part / CONTENTS).read_text())
    contents["files"]["agent/agent.pt"] = {"bytes": len(data), "sha256": sha256(data)}
    (part / CONTENTS).write_text(json.dumps(contents))


@pytest.mark.parametrize("name", ["evaluate", "video", "imagine"])
@pytest.mark.parametrize(
    "what", ["a tensor of terabytes over a small storage", "a constructor of bytes", "2^25 values in 250 bytes"]
)
def test_no_command_loads_a_checkpoint_that_asks_for_terabytes(
    name: str, what: str, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "load", lambda *args, **more: pytest.fail("it was loaded"))
    swap(run, archive(HEAD + PICKLES[what][0] + b"."))
    with pytest.raises(InvalidData, match=r"agent\.pt is no checkpoint of weights .* nothing of it was loaded"):
        commands(run)[name]()
    assert not (run / "video.gif").exists()


OTHER: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a counter of text": lambda kept: kept.update(gradient_steps="x"),
    "the next update of text": lambda kept: kept.update(next_update_env_steps="x"),
    "rows of text": lambda kept: kept["replay"].update(rows=["x"]),
    "no episodes": lambda kept: kept["replay"].pop("episodes"),
    "a position of text": lambda kept: kept["carry"].update(position="x"),
    "no recurrent state": lambda kept: kept["carry"].update(state={}),
    "a wider recurrent state": lambda kept: kept["carry"]["state"].update(deter=torch.zeros(1, 99)),
    "an action of whole numbers": lambda kept: kept["carry"].update(action=torch.zeros(1, 1, dtype=torch.int64)),
    "a scalar for an action": lambda kept: kept["carry"].update(action=torch.zeros(())),
    "a learner's counter of text": lambda kept: kept["learner"].update(gradient_steps="x"),
    "weights of another shape": lambda kept: kept["learner"]["groups"]["world_model"]["values"].popitem(),
}


@pytest.mark.parametrize("what", OTHER)
def test_a_checkpoint_with_one_value_of_another_kind_is_a_line(what: str, run: Path) -> None:
    (path,) = run.glob("checkpoint-*/agent/agent.pt")
    kept = torch.load(path, weights_only=True)
    OTHER[what](kept)
    data = io.BytesIO()
    torch.save(kept, data)
    swap(run, data.getvalue())
    with pytest.raises(UserError) as raised:
        revive(run)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["evaluate", "video", "imagine"])
@pytest.mark.parametrize("kept", [{}, {"learner": 5}, {"learner": {"world_model": torch.ones(3)}}, [1, 2]])
def test_a_checkpoint_of_something_else_is_a_line(name: str, kept: Any, run: Path) -> None:
    data = io.BytesIO()
    torch.save(kept, data)
    swap(run, data.getvalue())
    with pytest.raises(UserError, match=r"agent\.pt is not what an agent with a world model saves: ") as raised:
        commands(run)[name]()
    assert "\n" not in str(raised.value)


def with_option(run: Path, option: str, value: Any) -> None:
    """Another option in the manifest, with the hash that belongs to it."""
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["options"][option] = value
    (run / "manifest.json").write_text(json.dumps(manifest))
    (part,) = run.glob("checkpoint-*")
    contents = json.loads((part / CONTENTS).read_text())
    data = (run / "manifest.json").read_bytes()
    contents["records"]["manifest.json"] = {"bytes": len(data), "sha256": sha256(data)}
    (part / CONTENTS).write_text(json.dumps(contents))


@pytest.mark.parametrize(
    ("option", "value"),
    [("forgotten", 1), ("hidden", "x"), ("hidden", None), ("hidden", [1]), ("hidden", 1.5), ("clip_norm", "x"),
     ("clip_norm", 0), ("precision", 5), ("precision", "nope")],
)  # fmt: skip
def test_an_option_that_is_none_here_is_a_line(option: str, value: Any, run: Path) -> None:
    with_option(run, option, value)
    with pytest.raises(UserError) as raised:
        revive(run)
    assert option in str(raised.value)


@pytest.mark.parametrize(
    ("option", "value", "device"),
    [("hidden", 60_000, "cpu"), ("deter", 40_000, "cpu"), ("hidden", 10**9, "cpu"), ("hidden", 10**9, "cuda")],
)
def test_options_of_a_manifest_take_no_memory_that_the_checkpoint_does_not_explain(
    option: str, value: int, device: str, run: Path
) -> None:
    with_option(run, option, value)
    with pytest.raises(
        InvalidData, match=r"takes more than 4 GiB of memory, which its checkpoint of 0\.\d MiB does not explain"
    ):
        revive(run, device=device)  # for a GPU it is built on the CPU first, so this needs none


def test_weights_are_read_into_the_memory_of_the_cpu_also_for_a_gpu(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice for another device (here "meta", which stores nothing): first within the bound on memory, then for use."""
    asked: list[dict[str, Any]] = []
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda *args, **more: asked.append(more) or load(*args, **more))
    built: list[str] = []
    build = dreamer.build
    monkeypatch.setattr(dreamer, "build", lambda options, context: built.append(context.device) or build(options, context))
    assert revive(run, device="meta").device == "meta"
    assert built == ["cpu", "meta"]
    assert asked == [{"map_location": "cpu", "weights_only": True}] * 2


def test_what_does_not_fit_a_gpu_is_a_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not fit the memory of the GPU"), bounded.memory(tmp_path, 1, device="cuda"):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


def test_the_honest_checkpoint_still_plays(run: Path) -> None:
    for command in commands(run).values():
        assert command() == 0


def test_weights_are_loaded_in_one_place_only_and_checked_there() -> None:
    root = Path(__file__).parents[2]
    sources = [path for room in ("agents", "suites", "protocols", "analysis") for path in (root / room).rglob("*.py")]
    loading = [path for path in sources if "torch.load(" in path.read_text()]
    assert [path.name for path in loading] == ["agent_file.py"]
    assert "check_weights(path)" in loading[0].read_text().partition("torch.load(")[0]


def test_a_refusal_is_an_error_for_users() -> None:
    assert issubclass(InvalidData, UserError)
