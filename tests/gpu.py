"""Everything that waits for a GPU, in one command: `make gpu`.

    tests      those marked `gpu`
    bench      every agent at the paper's size, one and five seeds a program: bench.json, bench.md
    verify     Dreamer on small@1 with new seeds against the records in results/ (examples/ci/verify-small.sh)

Tables and what each step said are written to build/gpu. Without a GPU: one line, exit code 2.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "build" / "gpu"
BIN = Path(sys.executable).parent
STEPS = {
    "tests": [sys.executable, "-m", "pytest", "tests", "-m", "gpu", "-p", "no:randomly"],
    "bench": [
        *(str(BIN / "dreamer-bench"), "bench", "--device", "cuda", "--seconds", "5"),
        *("--seeds-per-program", "1", "5", "--ways", "eager", "captured"),  # not all ten seeds, and nothing to compile: minutes
        *("--json", str(OUT / "bench.json"), "--markdown", str(OUT / "bench.md")),
    ],
    "verify": ["examples/ci/verify-small.sh", str(OUT / "runs")],
}


def main() -> int:
    import torch

    if not torch.cuda.is_available():
        print("no GPU here: torch sees no CUDA device; run `make gpu` on a machine with one (see `dreamer-bench doctor`)")
        return 2
    OUT.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "MUJOCO_GL": "egl", "DREAMER_BENCH": str(BIN / "dreamer-bench")}
    found = []
    for name, command in STEPS.items():
        begun = time.perf_counter()
        with (OUT / f"{name}.txt").open("w") as file:
            code = subprocess.run(
                command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT, check=False
            ).returncode
        found.append({"step": name, "exit_code": code, "seconds": round(time.perf_counter() - begun, 1)})
        print(f"{name}: exit code {code} after {found[-1]['seconds']:.0f} s; {OUT / name}.txt", flush=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    machine = {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__, "commit": commit}
    (OUT / "summary.json").write_text(json.dumps({**machine, "steps": found}, indent=1) + "\n")
    rows = [f"| {each['step']} | {each['exit_code']} | {each['seconds']} |" for each in found]
    head = f"{machine['gpu']}, torch {machine['torch']}, commit {commit[:12]}"
    (OUT / "summary.md").write_text(
        "\n".join([head, "", "| step | exit code | seconds |", "| --- | --- | --- |", *rows]) + "\n"
    )
    return max(each["exit_code"] for each in found)


if __name__ == "__main__":
    sys.exit(main())
