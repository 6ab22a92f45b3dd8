"""python -m tests.mutants list
    python -m tests.mutants train --work FOLDER [--mutations NAME ...] [--tasks TASK ...] [--seeds N ...]
    python -m tests.mutants scores --work FOLDER --out FILE.csv.gz
    python -m tests.mutants verdicts FILE.csv.gz [--at ENV_STEPS ...] [--margin M] [--non-inferior]
    python -m tests.mutants alarms FILE.csv.gz [--cohorts N] [--at ENV_STEPS ...] [--margin M] [--non-inferior]
    python -m tests.mutants caught --work FOLDER [--mutations NAME ...]

Which bugs does `run small@1` with `verify` see? What came of it: docs/verifying.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dreamer_bench_base import UserError
from tests.mutants import mutations, study


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="print the mutations")
    train = commands.add_parser("train", help="train mutated copies; skip what is finished, resume what was interrupted")
    train.add_argument("--work", type=Path, required=True, help="folder of copies and records")
    train.add_argument(
        "--mutations", nargs="+", default=[m.name for m in mutations.MUTATIONS], help="default: all; `unchanged` for none"
    )
    train.add_argument("--tasks", nargs="+", help="default: those of each mutation")
    train.add_argument("--seeds", nargs="+", type=int, default=[20, 21, 22, 23, 24])
    train.add_argument("--protocol", default="small@1")
    train.add_argument("--agent", default="dreamer")
    scores = commands.add_parser("scores", help="gather the records into one score file")
    scores.add_argument("--work", type=Path, required=True)
    scores.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    if asked.command == "list":
        for mutation in mutations.MUTATIONS:
            print(f"{mutation.name:24} {mutation.says} ({', '.join(mutation.tasks)})")
        return 0
    if asked.command == "scores":
        study.write_scores(asked.work, asked.out)
        return 0
    worst = 0
    for name in asked.mutations:
        mutation = mutations.find(name)
        for task in asked.tasks or mutation.tasks:
            code = study.train(
                asked.work, mutation, protocol=asked.protocol, agent=asked.agent, tasks=(task,), seeds=asked.seeds
            )
            if code in (130, 143):
                return code
            worst = max(worst, code)
    return worst


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"error: {error}")
