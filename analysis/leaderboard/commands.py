"""The commands `leaderboard add` and `leaderboard build`. Large packages are imported only when one of them runs.

`dreamer_bench.py` combines them, because only it may import the code that plays a run again."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from dreamer_bench_base import InvalidData, UserError, count
from dreamer_bench_untrusted import printable

if TYPE_CHECKING:
    from analysis.leaderboard.checkpoints import Replaying


@dataclass(frozen=True, kw_only=True)
class LeaderboardAdd:
    """Check a submission and copy it to the leaderboard's folder. Exit code 4: it did not pass.

    With --replay, randomly drawn runs play their last evaluation again from the checkpoints in the submission. If a score
    differs from the record, the submission is refused.
    """

    submission: tyro.conf.Positional[Path]
    """Folder with card.json and runs/ (for published scores: scores/)."""
    to: Path
    """Folder of the leaderboard."""
    replay: int | None = None
    """Runs to draw and play again; needs the simulators and the agent of the runs."""
    replay_seed: int | None = None
    """Seed of the draw (default: random; it is printed)."""
    replay_tolerance: float = 0.0
    """Largest accepted difference of an episode's score, for a replay on another kind of machine; 0 requires equal bits."""
    device: str = "auto"
    """Device to replay on: cpu, cuda, or auto (the kind that the run used)."""
    old_records: bool = False
    """Also accept runs of an older schema, to which newer rules do not apply; the board marks them."""

    def run(self) -> int:
        from analysis.leaderboard import adding
        from analysis.scores import cures

        replaying = None if self.replay is None else self.replaying(self.replay)
        if replaying is None and (self.replay_seed is not None or self.replay_tolerance or self.device != "auto"):
            raise UserError("--replay-seed, --replay-tolerance and --device belong to --replay; give it a number of runs")
        with cures.within(cures.options_of(self), "mend the submission, and add it again"):
            added = adding.add(self.submission, self.to, replay=replaying, old_records=self.old_records)
        print(f"added: {added}")
        return 0

    def replaying(self, number: int) -> Replaying:
        """The function that plays runs again. `analysis` never runs agents, so dreamer_bench.py provides it."""
        raise UserError("this reader of records cannot run agents; use the command `dreamer-bench leaderboard add`")


@dataclass(frozen=True, kw_only=True)
class LeaderboardBuild:
    """Write the static site of a leaderboard's folder. Leaves out and names submissions that changed after they were added;
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
        print(f"{count(len(built.files), 'file')}; open {self.out / 'index.html'}")
        return InvalidData.exit_code if built.left_out else 0
