"""What the gate `run small@1` with `verify` sees of classic bugs; what came of it is in docs/verifying.md.

python -m tests.mutants list
python -m tests.mutants train --work FOLDER [--mutations NAME ...] [--tasks TASK ...] [--seeds N ...]
python -m tests.mutants scores --work FOLDER --out FILE.csv.gz
python -m tests.mutants verdicts FILE.csv.gz [--at ENV_STEPS ...] [--margin M] [--non-inferior]
python -m tests.mutants alarms FILE.csv.gz [--cohorts N] [--at ENV_STEPS ...] [--margin M] [--non-inferior]
python -m tests.mutants caught --work FOLDER [--mutations NAME ...]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from analysis.verify.verdict import Mode
from dreamer_bench_base import UserError
from tests.mutants import caught, mutations, page, study, tables, verdicts


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
    scores.add_argument(
        "--unchanged", nargs="+", type=Path, default=[], help="runs folders of the agent, made by the same code"
    )
    scores.add_argument("--agent", default="dreamer")
    scores.add_argument("--out", type=Path, default=page.SCORES)
    for name, says in (("verdicts", "what `verify` says of each mutation"), ("alarms", "and of unchanged code on other seeds")):
        asking = commands.add_parser(name, help=says)
        asking.add_argument("file", type=Path, help="written by `scores`")
        asking.add_argument("--tasks", nargs="+", default=[mutations.PENDULUM], help="each judged apart")
        asking.add_argument("--at", nargs="+", type=int, default=[2_000, 4_000, 6_000, 8_000], help="env_steps")
        asking.add_argument("--margin", type=float, default=verdicts.Rule.margin)
        asking.add_argument("--non-inferior", action="store_true", help="ask for the worse side alone")
        asking.add_argument("--protocol", default="small@1")
        asking.add_argument("--cohorts", type=int, default=400)
    catching = commands.add_parser("caught", help="which other test sees each mutation first (minutes each)")
    catching.add_argument("--work", type=Path, required=True)
    catching.add_argument("--mutations", nargs="+", default=[m.name for m in mutations.MUTATIONS])
    commands.add_parser("page", help="write the tables of the shipped scores into docs/verifying.md")
    return parser.parse_args()


def show(asked: argparse.Namespace) -> None:
    """Prints rows of a Markdown table."""
    mode: Mode = "non-inferior" if asked.non_inferior else "equivalent"
    rule = verdicts.Rule(protocol=asked.protocol, mode=mode, margin=asked.margin)
    points = verdicts.read(asked.file)
    if asked.command == "verdicts":
        for task in asked.tasks:
            print("\n".join(tables.mutations(points, task, rule, asked.at)))
        return
    for at in asked.at:
        found = verdicts.of_unchanged(points, asked.tasks, rule, at, asked.cohorts)
        for words, counted in (("that share no seed", found.apart), ("resampled", found.resampled)):
            low, high = found.interval(counted)
            print(
                f"| {at:,} | {found.seeds} fresh seeds | {counted[1]} of {counted[0]} cohorts {words} | "
                f"{counted[1] / counted[0]:.3f} [{low:.3f}, {high:.3f}] |"
            )
        print(f"| {at:,} | inconclusive | {found.inconclusive} of {found.resampled[0]} resampled |")


def main() -> int:
    asked = arguments()
    if asked.command == "list":
        for mutation in mutations.MUTATIONS:
            print(f"{mutation.name:24} {mutation.says} ({', '.join(mutation.tasks)})")
        return 0
    if asked.command == "scores":
        study.write_scores(asked.work, asked.out, asked.unchanged, asked.agent)
        return 0
    if asked.command in ("verdicts", "alarms"):
        show(asked)
        return 0
    if asked.command == "caught":
        for name in asked.mutations:
            print(caught.caught(asked.work, mutations.find(name)), flush=True)
            page.CAUGHT.write_text(caught.everything(asked.work, page.CAUGHT.read_text()))
        return 0
    if asked.command == "page":
        page.write()
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
