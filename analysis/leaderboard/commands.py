"""`leaderboard add` and `leaderboard build` as commands; everything heavy is imported when one of them runs."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from dreamer_bench_base import InvalidData
from dreamer_bench_untrusted import printable


@dataclass(frozen=True, kw_only=True)
class LeaderboardAdd:
    """Check a submission and copy it to the leaderboard's folder. Exit code 4: it did not pass."""

    submission: tyro.conf.Positional[Path]
    """Folder with card.json and runs/ (for published scores: scores/)."""
    to: Path
    """Folder of the leaderboard."""

    def run(self) -> int:
        from analysis.leaderboard import adding

        print(f"added: {adding.add(self.submission, self.to)}")
        return 0


@dataclass(frozen=True, kw_only=True)
class LeaderboardBuild:
    """Write the static site of a leaderboard's folder. A submission that was changed since it was added is left out and named;
    the exit code is then 4."""

    folder: tyro.conf.Positional[Path]
    """Folder that `leaderboard add` filled."""
    out: Path = Path("site")
    """Folder to write the site to."""
    reps: int = 20_000
    """Bootstrap resamples."""

    def run(self) -> int:
        from analysis.leaderboard import site

        built = site.build(self.folder, self.out, reps=self.reps)
        for name, line in built.left_out.items():
            print(f"left out: {name}: {printable(' '.join(line.split()))}", file=sys.stderr)
        print(f"{len(built.files)} files; open {self.out / 'index.html'}")
        return InvalidData.exit_code if built.left_out else 0


@dataclass(frozen=True, kw_only=True)
class LeaderboardCommand:
    """Keep a leaderboard: add checked submissions, build its static site."""

    action: Annotated[
        Annotated[LeaderboardAdd, tyro.conf.subcommand("add")] | Annotated[LeaderboardBuild, tyro.conf.subcommand("build")],
        tyro.conf.arg(name=""),
    ]

    def run(self) -> int:
        return self.action.run()


COMMANDS = {"leaderboard": LeaderboardCommand}
