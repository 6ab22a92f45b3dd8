"""Files that are not what their format says: one line of InvalidData, and never another error."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.scores import formats
from analysis.scores.import_options import Options
from dreamer_bench_base import InvalidData
from dreamer_bench_untrusted import is_printable

TIDY = b"method,task,seed,env_step,score\n"
RUN = {"task": "dmc_walker_walk", "method": "m", "seed": 0}


def archive(comment: bytes = b"", **arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    with zipfile.ZipFile(buffer, "a") as file:
        file.comment = comment
    return buffer.getvalue()


def rliable(budget: bytes) -> bytes:
    return archive(b'{"budget_env_steps": ' + budget + b"}", tasks=np.array(["dmc_walker_walk"]), m=np.ones((3, 1)))


def with_damaged_stream() -> bytes:
    data = bytearray(archive(timesteps=np.arange(1_000), results=np.random.default_rng(0).normal(size=(1_000, 3))))
    data[200:600] = bytes(byte ^ 0x5A for byte in data[200:600])
    return bytes(data)


@pytest.mark.parametrize(
    ("format", "data", "message"),
    [
        (None, TIDY.replace(b"\n", b"\r") + b"m,walker_walk,0,1,2\r", ":1: is no readable CSV"),
        ("tidy", TIDY[:-1] + b",episode\nm,walker_walk,0,1,2,inf\n", ":2: episode is inf; it must be a count"),
        ("tidy", TIDY[:-1] + b",episode\nm,walker_walk,0,1,2,-1\n", ":2: episode is -1.0; it must be a count"),
        ("tidy", TIDY + b"m\x1b[2J,walker_walk,0,1,\n", r":2: m\\u001b\[2J, dmc_walker_walk, seed 0 has no finite score"),
        ("tidy", b"\0\0\n", r":1: has no column 'method', only \\u0000"),
        ("tidy", TIDY + b"m,walker_walk,0,1,1e300\n", "m, dmc_walker_walk, seed 0 has the score 1e.300; no return is so large"),
        ("danijar", b"[" + b"1" * 5_000 + b"]", "holds a number with thousands of digits"),
        ("dopamine", b'[{"Iteration": 1e14, "Value": 1, "Agent": "a"}]', "env_steps is -"),
        ("atari-100k", json.dumps([RUN]).encode(), r"is no object of lists; expected \{game: "),
        ("monitor", b"#" + b"[" * 100_000 + b"\nr,l,t\n1,2,3\n", ":1: is no JSON after the #"),
        ("evaluations", archive(results=np.ones((3, 2))), "holds no array 'timesteps'"),
        ("evaluations", archive(timesteps=np.arange(3)), "holds no array 'results'"),
        ("evaluations", with_damaged_stream(), "is no array of numbers or text"),
        ("rliable", archive(m=np.ones((3, 1))), "holds no array 'tasks'"),
        *[("rliable", rliable(budget), "says that its budget is") for budget in (b'"x"', b"[1]", b"1e400", b"9" * 400, b"-5")],
    ],
)
def test_a_file_that_is_not_what_its_format_says_is_one_line(
    tmp_path: Path, format: str | None, data: bytes, message: str
) -> None:
    path = tmp_path / "pong.x"
    path.write_bytes(data)
    with pytest.raises(InvalidData, match=message) as error:
        formats.read_file(path, Options(at=400_000 if format == "atari-100k" else None), format)
    assert is_printable(str(error.value))
