"""Reading records needs no simulator, no torch and none of the packages that run: everything else is refused at import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from protocols import catalog
from protocols.cadence import cadence_of
from tests.make_records import make_run

ROOT = Path(__file__).resolve().parents[1]
PATH = {**os.environ, "PYTHONPATH": str(ROOT)}
REFUSED = ("torch", "gymnasium", "dm_control", "mujoco", "ale_py", "ray", "agents", "suites")
WITHOUT = f"""
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {REFUSED!r}:
            raise ImportError(f"a reader imported {{name}}")

sys.meta_path.insert(0, Refuse())
sys.argv = ["dreamer-bench", *sys.argv[1:]]
import dreamer_bench
dreamer_bench.main()
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("records") / "runs"
    protocol = catalog.find("quick@1")
    steps = cadence_of(protocol, protocol.tasks[0], protocol.env_steps).evaluation_env_steps
    for agent, gain in (("dreamer", 300.0), ("random", 0.0)):
        for seed in (0, 1, 2):
            scores = {at: [gain + 10 * seed + at / 1000] * protocol.evaluate_episodes for at in steps}
            final = [gain + seed] * protocol.final_episodes
            make_run(root, protocol, agent=agent, task=protocol.tasks[0], seed=seed, scores=scores, final=final)
    return root


@pytest.mark.parametrize(
    ("arguments", "wrote"),
    [
        (["status", "RUNS"], None),
        (["validate", "RUNS"], None),
        (["report", "RUNS", "--out", "OUT"], "index.html"),
        (["figure", "fig6", "RUNS", "--out", "OUT"], "fig6.svg"),
        (["aggregate", "RUNS", "--reps", "100"], None),
        (["export", "tidy", "RUNS", "--out", "OUT.csv"], None),
        (
            [
                "verify",
                "RUNS",
                "--reference",
                "RUNS",
                "--method",
                "dreamer",
                "--reference-method",
                "dreamer",
                "--json",
                "OUT.json",
            ],
            None,
        ),
        (["list", "protocols"], None),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_reader_of_records_imports_neither_torch_nor_gymnasium_nor_agents_nor_a_simulator(arguments, wrote, runs, tmp_path):
    out = tmp_path / "out"
    filled = [part.replace("RUNS", str(runs)).replace("OUT", str(out)) for part in arguments]
    done = subprocess.run([sys.executable, "-c", WITHOUT, *filled], capture_output=True, text=True, cwd=tmp_path, env=PATH)
    assert "a reader imported" not in done.stderr, done.stderr
    assert done.returncode in (0, 1, 3, 4), done.stdout + done.stderr
    if wrote:
        assert (out / wrote).exists()
