"""The commands that read records, over runs by the hundred: DREAMER_BENCH_SCALE_RUNS (15 unless set) of small@1.

Larger ones, other protocols and memory: `python -m tests.benchmarks.scale`.
"""

from __future__ import annotations

import os

import pytest

from protocols import catalog
from tests.benchmarks import scale

pytestmark = pytest.mark.benchmark_suite


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("scale")
    scale.make(made, int(os.environ.get("DREAMER_BENCH_SCALE_RUNS", 15)), catalog.find("small@1"))
    return made


@pytest.mark.parametrize("command", scale.COMMANDS)
def test_reading(benchmark, folder, command):
    row = benchmark.pedantic(scale.measure, args=(command, folder, folder / "out"), rounds=1)
    benchmark.extra_info.update(row)
    assert row["code"] == 0, row["said"]
