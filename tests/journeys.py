"""Types the commands of the documentation's journeys, as they stand in its pages, and prints the time of each.

    python -m tests.journeys FOLDER report board verdict figures

FOLDER is a fresh clone after `make setup`; the commands run there with its environment. Reading time: the words of the passages
that a journey needs (code included), at 200 a minute.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORDS_PER_MINUTE = 200

JOURNEYS = {
    "report": [("docs/results.md", "# Results")],
    "board": [("docs/tutorial.md", f"## {number}") for number in (3, 4, 5, 6)],
    "verdict": [("docs/verifying.md", "## From your runs to a verdict")],
    "figures": [("docs/own-protocols.md", "# Your own protocol")],
}
"""Journey -> the passages that it needs: a page, and how the heading of the passage begins."""


def passage(page: str, heading: str) -> str:
    """A heading of a page with its text up to the next heading."""
    parts = re.split(
        r"^(?=#{1,3} )", re.sub(r"^(```.*?^```)", _hidden, (ROOT / page).read_text(), flags=re.S | re.M), flags=re.M
    )
    (found,) = (part for part in parts if part.startswith(heading))
    return found.replace("\0", "#")


def _hidden(block: re.Match[str]) -> str:
    return block[1].replace("#", "\0")  # a comment in a block of code is no heading


def commands(text: str) -> list[str]:
    """What a reader types: the blocks of a shell, a file that a block of TOML names, and the lines after $ of a console.

    Of two files of one name the later one counts; it is written first.
    """
    files, typed = {}, []
    for kind, body in re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.S | re.M):
        if kind == "toml":
            name = body.partition("\n")[0].removeprefix("# ")
            files[name] = f"cat > {name} <<'END'\n{body}END"
        elif kind == "console":
            typed += [line.removeprefix("$ ") for line in body.splitlines() if line.startswith("$ ")]
        elif kind in ("", "sh"):
            typed += _split(body)
    return [*files.values(), *typed]


def _split(body: str) -> list[str]:
    """Lines, but a here-document as a whole."""
    found: list[str] = []
    end = None
    for line in body.splitlines():
        if end is not None:
            found[-1] += "\n" + line
            end = None if line == end else end
        elif line.strip():
            found.append(line)
            end = match[1] if (match := re.search(r"<<'(\w+)'", line)) else None
    return found


def main(folder: str, *names: str) -> None:
    for name in names or JOURNEYS:
        texts = [passage(*where) for where in JOURNEYS[name]]
        words = sum(len(text.split()) for text in texts)
        typed = [command for text in texts for command in commands(text)]
        shell = subprocess.Popen(
            ["bash"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env=_environment(folder),
        )
        assert shell.stdin is not None
        assert shell.stdout is not None
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        failed = 0
        for command in typed:
            started = time.monotonic()
            shell.stdin.write(f'{command}\necho "=== $?"\n')
            shell.stdin.flush()
            for line in shell.stdout:
                if line.startswith("=== "):
                    break
                print(f"    {line}", end="")
            code = line.split()[1]
            failed += code not in ("0", "1")  # 1 is the verdict that does not hold
            print(f"{time.monotonic() - started:7.1f} s, exit {code}: {command.partition(chr(10))[0]}", flush=True)
        shell.stdin.close()
        shell.wait()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"{name}: {len(typed)} commands, {failed} failed")
        print(f"  {time.monotonic() - began:.0f} s, {processor:.0f} s of processor time")
        print(f"  {words} words to read, {60 * words / WORDS_PER_MINUTE:.0f} s", flush=True)


def _environment(folder: str) -> dict[str, str]:
    own = Path(folder).resolve() / ".venv"
    return {**os.environ, "VIRTUAL_ENV": str(own), "PATH": f"{own / 'bin'}:{os.environ['PATH']}"}


if __name__ == "__main__":
    main(*sys.argv[1:])
