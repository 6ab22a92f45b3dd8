"""Malformed command lines, seeded: each is a good one with one thing made nonsense, and must be refused in words.

    python -m tests.fuzz COUNT SEED        prints a table of what came of each kind

One process calls `dreamer_bench.main()`; nothing here trains. A case survives when the command ends with a documented exit
code other than 0, without a traceback, in one line (the parser of the command line may take several) and within the time limit.
"""

from __future__ import annotations

import collections
import contextlib
import importlib
import io
import os
import random
import resource
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import dreamer_bench
from tests.attacks.submissions import RUN, curves, honest

LIMIT_SECONDS = 120.0
MOST_MEMORY_BYTES = 12 << 30
"""Of addresses: a command that reads a device without end is a case that falls, and does not take the machine with it."""
NUMBERS = ("-1", "nan", "inf", "1e999", "", "0x10", "one", "9" * 40, "-" + "9" * 30, "1,000", "½", "\x1b[31m", "1.5")
WHOLE = {"--at": "200000", "--reps": "200", "--window": "1000", "--look": "1", "--workers": "0", "--seeds-per-program": "1",
         "--limit": "200", "--episodes": "1", "--devices": "1", "--action-repeat": "2"}  # fmt: skip
NAMES = (
    "",
    " ",
    "nope",
    "nope@1",
    "../x",
    "quick@1x",
    "\x1b[31m",
    "a\u202eb",
    "dmc_wlaker_walk",
    "*",
    "--",
    "x" * 5_000,
    "[/]",
    "$x$",
)
PATHS = (
    "/nonexistent/x",
    "/dev/null",
    "/dev/full",
    "/proc/self/mem",
    "/etc/passwd",
    "",
    "\x1b[31m",
    "x" * 300,
    "./" + "y/" * 2_100,
)


SLOW_IMPORTS = ("torch", "pandas", "analysis.report.build", "analysis.verify.procedure", "agents.imagination",
                "protocols.running.load_run", "protocols.running.launch", "analysis.leaderboard.adding")  # fmt: skip


class TimeOut(BaseException):
    """The command took longer than the limit."""


def lines(base: Path) -> list[tuple[list[str], dict[str, str]]]:
    """Good command lines, and which of their words are a number, a name, a source or a target."""
    runs, csv, out = str(base / "entry" / "runs"), str(base / "scores.csv"), str(base / "out")
    return [
        (["aggregate", csv, "--at", "200000", "--reps", "200", "--window", "1000"], {csv: "source"}),
        (["aggregate", csv, "--methods", "m", "--tasks", "dmc_cartpole_balance", "--protocol", "quick@1"], {csv: "source"}),
        (["export", "tidy", csv, "--out", out + ".csv"], {csv: "source", out + ".csv": "target"}),
        (["export", "rliable", csv, "--out", out + ".npz", "--at", "200000"], {csv: "source", out + ".npz": "target"}),
        (["import", "auto", csv, "--out", out + ".csv", "--action-repeat", "2"], {csv: "source", out + ".csv": "target"}),
        (["figure", "curves", csv, "--out", out, "--reps", "200", "--at", "200000"], {csv: "source"}),
        (["figure", "improvement", csv, "--out", out, "--methods", "m", "--reps", "200"], {csv: "source"}),
        (["report", runs, "--out", out, "--reps", "200"], {runs: "source", out: "target"}),
        (["verify", csv, "--reference", csv, "--json", out + ".json", "--look", "1", "--at", "200000"],
         {csv: "source", out + ".json": "target"}),
        (["validate", runs], {runs: "source"}),
        (["status", runs], {runs: "source"}),
        (["plan", "quick@1", "--agents", "random", "--measured", csv, "--devices", "1"], {csv: "source", "quick@1": "name"}),
        (["run", "quick@1", "--agents", "random", "--runs", runs, "--limit", "200", "--workers", "0"], {"quick@1": "name"}),
        (["run", "quick@1", "--agents", "dreamer", "--seeds", "0", "--set", "horizon=15", "--seeds-per-program", "1"],
         {"quick@1": "name"}),
        (["evaluate", str(base / "entry" / RUN), "--episodes", "1"], {str(base / "entry" / RUN): "source"}),
        (["video", str(base / "entry" / RUN), "--episodes", "1", "--out", out + ".webp"],
         {str(base / "entry" / RUN): "source"}),
        (["imagine", str(base / "entry" / RUN), "--episodes", "1"], {str(base / "entry" / RUN): "source"}),
        (["leaderboard", "add", str(base / "entry"), "--to", out], {str(base / "entry"): "source"}),
        (["leaderboard", "build", str(base / "board"), "--out", out, "--reps", "200"], {str(base / "board"): "source"}),
        (["list", "agents"], {}),
        (["check-agent", "random"], {"random": "name"}),
    ]  # fmt: skip


def spoiled(words: list[str], kinds: dict[str, str], draw: random.Random) -> tuple[str, list[str]]:
    """One thing made nonsense: which kind of thing, and the command line."""
    words = list(words)
    places: list[tuple[str, int]] = [
        ("unknown option", len(words)),
        ("unknown command", 0),
        ("option without its value", len(words)),
    ]
    for index, word in enumerate(words):
        if index and words[index - 1] in WHOLE:
            places += [("number", index)] * 3
        if kinds.get(word) in ("source", "target", "name"):
            places += [(f"path of a {kinds[word]}" if kinds[word] != "name" else "name", index)] * 2
        if index and words[index - 1] in ("--methods", "--tasks", "--protocol", "--agents"):
            places += [("name", index)] * 2
        if index and words[index - 1] == "--set":
            places += [("option of an agent", index)] * 4
    kind, index = draw.choice(places)
    if kind == "number":
        words[index] = draw.choice(NUMBERS)
    elif kind == "name":
        words[index] = draw.choice(NAMES)
    elif kind == "path of a source":
        words[index] = draw.choice(PATHS)
    elif kind == "path of a target":
        words[index] = draw.choice(
            ("/dev/null", "/dev/full", "/proc/x/y", "/nonexistent/x/y.csv" if words[0] != "report" else "/dev/null")
        )
    elif kind == "option of an agent":
        name = draw.choice(("horizon", "discount", "clip_norm", "kl_scale", "min_std", "nope", ""))
        words[index] = f"{name}={draw.choice(('-1', 'nan', 'inf', '', 'x', '1e999', '-1e9'))}"
    elif kind == "unknown command":
        words[0] = draw.choice(("", "rnu", "--", "\x1b[31m", "run;ls", "LIST"))
    elif kind == "unknown option":
        words.append(draw.choice(("--nope", "--rep", "--at=", "-", "--\x1b", "---", "-x")))
    else:
        words.append(draw.choice(("--methods", "--reps", "--seeds", "--agents", "--out", "--tasks")))
    return kind, words


def call(words: list[str]) -> tuple[int | str, str, str]:
    """Exit code (or what went wrong), standard output and error of one command line."""
    out, error = io.StringIO(), io.StringIO()
    argv, sys.argv = sys.argv, ["dreamer-bench", *words]

    def late(signum: int, frame: object) -> None:
        raise TimeOut

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            dreamer_bench.main()
    except SystemExit as stop:
        return int(stop.code or 0), out.getvalue(), error.getvalue()
    except TimeOut:
        return "hang", out.getvalue(), error.getvalue()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        sys.argv = argv
    return "no exit", out.getvalue(), error.getvalue()


def judged(code: int | str, out: str, error: str) -> str:
    """ "refused in a line", "refused by the parser", or what is wrong."""
    if "TimeOut" in error or code == "hang":
        return "HANG"
    if "Traceback" in error or code == 5:
        return "TRACEBACK"
    if "For full helptext" in error + out:
        return "refused by the parser"  # it quotes the caller's own words
    if "\x1b[31m" in out + error or "\u202e" in out + error:
        return "RAW CONTROL CHARACTERS"
    if code == 0:
        return "ACCEPTED"
    if code not in (1, 2, 3, 4):
        return f"EXIT {code}"
    said = [line for line in error.splitlines() if line.startswith("error: ")]
    return "refused in a line" if len(said) == 1 and len(error.strip().splitlines()) == 1 else "documented verdict"


def fuzz(count: int, seed: int, say: Callable[[str], None]) -> collections.Counter[tuple[str, str]]:
    """What came of `count` command lines: (kind of nonsense, outcome) -> how many. Each that fell is said."""
    draw = random.Random(seed)
    found: collections.Counter[tuple[str, str]] = collections.Counter()
    here = Path.cwd()
    for module in SLOW_IMPORTS:  # a time limit that struck inside one would leave half of it behind, for every later case
        importlib.import_module(module)
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        honest(base / "entry")
        (base / "board").mkdir()
        (base / "scores.csv").write_text(curves())
        os.chdir(base)
        memory = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, memory[1]))
        try:
            for _ in range(count):
                words, kinds = draw.choice(lines(base))
                kind, bad = spoiled(words, kinds, draw)
                outcome = judged(*(result := call(bad)))
                found[kind, outcome] += 1
                if outcome.isupper() or outcome.startswith("EXIT"):
                    say(
                        f"{outcome} ({kind}): {[word[:60] for word in bad]} {result[2][-300:] if outcome != 'ACCEPTED' else ''}"
                    )
        finally:
            resource.setrlimit(resource.RLIMIT_AS, memory)
            os.chdir(here)
    return found


if __name__ == "__main__":
    counts = fuzz(int(sys.argv[1]), int(sys.argv[2]), lambda line: print(line, flush=True))
    outcomes = sorted({outcome for _, outcome in counts})
    print(f"| nonsense | tried | {' | '.join(outcomes)} |")
    for wanted in (*sorted({kind for kind, _ in counts}), None):
        row = [sum(n for (kind, o), n in counts.items() if o == outcome and wanted in (kind, None)) for outcome in outcomes]
        print(f"| {wanted or 'all'} | {sum(row)} | {' | '.join(map(str, row))} |")
