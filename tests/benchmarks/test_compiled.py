"""An update through torch.compile on the CPU: equal to the eager one, and its time. Compiling alone takes minutes."""

from __future__ import annotations

import pytest

from tests.agents.learning.test_ways_of_running import assert_same, build, trained

pytestmark = pytest.mark.benchmark_suite

SHORT = {"batch_length": 3, "batch_sequences": 2, "horizon": 2}
"""Time is unrolled in the traced graph, so that compiling takes longer the longer the sequences."""


def test_the_compiled_update_equals_the_eager_one_and_is_timed(benchmark):
    compiled = build(compile=True, **SHORT)
    assert_same(trained(compiled, 2), trained(build(**SHORT), 2), weights=2e-5)
    benchmark.pedantic(compiled.update, warmup_rounds=1, rounds=20)
