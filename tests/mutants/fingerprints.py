"""A tiny real run in each of several source trees: python fingerprints.py PROTOCOL.toml TREE ...

Leaves the records in TREE/runs. Each tree is imported in a process of its own, forked from one that has read the libraries.
This file imports nothing of the project.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import gymnasium  # noqa: F401
import numpy  # noqa: F401
import rich.live  # noqa: F401
import torch
import torch.fx.experimental.symbolic_shapes
import tyro  # noqa: F401

SETTINGS = (
    *("deter=8", "stoch=4", "hidden=8", "model_hidden=8", "batch_sequences=3", "batch_length=6", "horizon=3", "start_every=2"),
    *("prefill_env_steps=60", "pretrain_updates=4", "update_every_env_steps=20", "updates=1", "free_nats=100"),
)
"""A few updates of tiny networks. So many free nats that their sign decides whether the KL trains."""


def run(protocol: str, tree: Path) -> None:
    sys.path.insert(0, str(tree))
    os.chdir(tree)
    import dreamer_bench

    assert Path(dreamer_bench.__file__).parent == tree
    sys.argv = [
        *("dreamer-bench", "run", protocol, "--agents", "dreamer", "--set", *SETTINGS, "--device", "cpu", "--workers", "0"),
        *("--no-film", "--runs", str(tree / "runs")),
    ]
    dreamer_bench.main()


if __name__ == "__main__":
    torch.set_num_threads(1)
    for each in sys.argv[2:]:
        child = os.fork()
        if child == 0:
            run(sys.argv[1], Path(each))
            os._exit(0)
        if (status := os.waitpid(child, 0)[1]) != 0:
            sys.exit(f"{each} ended with {status}")
