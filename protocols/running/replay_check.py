"""Whether a checkpoint reaches the scores in its record: plays the last evaluation again and compares.

docs/leaderboard.md says what this shows and what it cannot. Records and checkpoints come from strangers. Their files were
copied and their hashes compared before (`analysis/leaderboard/checkpoints.py`), and weights are loaded only as data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agents.device import describe_device, resolve_device
from dreamer_bench_base import InvalidData, UserError
from protocols.cadence import Purpose
from protocols.records import checkpoint, code_identity, machine
from protocols.records.schema import EpisodeLine, Manifest
from protocols.records.store import Run
from protocols.running.evaluate import FINAL_STREAM, Episode
from protocols.running.load_run import Revived, revive_together


@dataclass(frozen=True, kw_only=True)
class Replays:
    """Plays runs again.

    device     device to compute on; "auto" takes a GPU if the run had one
    tolerance  largest accepted difference of an episode's score; 0 requires equal bits
    """

    device: str = "auto"
    tolerance: float = 0.0
    say: Callable[[str], None] = lambda line: None

    def __call__(self, folders: Sequence[Path], wanted: Sequence[bool]) -> None:
        """Plays the last evaluation of the `wanted` runs among those of one cohort.

        folders  run folders with their checkpoint, in the order of the cohort
        Raises UserError if they cannot be played here, and InvalidData if a score is not the recorded one.
        """
        runs = [Run(folder) for folder in folders]
        manifest = next(run.manifest for run, asked in zip(runs, wanted, strict=True) if asked)
        device = manifest["device"] if self.device == "auto" else resolve_device(self.device)
        _check_simulators(manifest, folders[0])
        resolve_device(device)
        for folder in folders:
            for number in checkpoint.generations(folder):
                fault = checkpoint.fault(folder, folder / f"checkpoint-{number}")
                if fault is not None:
                    raise InvalidData(f"{fault}; submit the runs folder as `run` left it")
        revived = revive_together(folders, device=device)
        last = [_last_evaluation(run.episodes()) for run in runs]
        played = _play(revived, last[wanted.index(True)], np.array(wanted))
        for run, recorded, again, asked in zip(runs, last, played, wanted, strict=True):
            if asked:
                self._compare(run, recorded, again, device)

    def _compare(self, run: Run, recorded: Sequence[EpisodeLine], again: Sequence[Episode], device: str) -> None:
        pairs = list(zip(recorded, again, strict=True))
        off = [
            (line, episode)
            for line, episode in pairs
            if line["length"] != episode.length or not abs(_number(line["score"]) - episode.score) <= self.tolerance
        ]
        if off:
            line, episode = max(off, key=lambda pair: abs(_number(pair[0]["score"]) - pair[1].score))
            raise InvalidData(
                f"{run.folder}: its checkpoint does not reproduce its last evaluation: {len(off)} of {len(pairs)} episodes "
                f"differ, most episode {line['episode']} (recorded {line['score']}, played again {episode.score}); "
                f"{_differences(run.manifest, device)}"
            )
        self.say(f"replayed: {'/'.join(run.folder.parts[-4:])}, {len(pairs)} episodes")


def _play(revived: Revived, lines: Sequence[EpisodeLine], active: np.ndarray) -> list[list[Episode]]:
    final, index, episodes = lines[-1]["final"], lines[-1]["checkpoint"], len(lines)
    purpose: Purpose = "final" if final else "evaluate"
    return revived.play_all(
        episodes,
        purpose=purpose,
        stream=FINAL_STREAM if final else index + 1,
        first_index=0 if final else index * revived.protocol.evaluate_episodes,
        active=active,
    )


def _last_evaluation(lines: Sequence[EpisodeLine]) -> list[EpisodeLine]:
    """The final evaluation, or the last regular one if the protocol has no final one."""
    return [line for line in lines if (line["checkpoint"], line["final"]) == (lines[-1]["checkpoint"], lines[-1]["final"])]


def _check_simulators(manifest: Manifest, folder: Path) -> None:
    names = manifest["protocol_data"]["simulators"]
    here = machine.packages(*names)
    for name in names:
        if manifest["packages"].get(name) != here.get(name):
            raise UserError(
                f"{folder} was recorded under {name} {manifest['packages'].get(name)}, here it is {here.get(name) or 'none'}; "
                f"a replay needs the same simulator; install {name}=={manifest['packages'].get(name)}"
            )


def _differences(manifest: Manifest, device: str) -> str:
    """Other causes of different last digits: the code, the packages and the machine, there and here."""
    here = machine.packages()
    pairs: list[tuple[str, Any, Any]] = [
        (name, version, here.get(name)) for name, version in sorted(manifest["packages"].items()) if name in machine.PACKAGES
    ]
    pairs += [
        ("processor", manifest["hardware"]["cpu"], machine.cpu()),
        ("device", manifest["device"], device),
        ("GPU", manifest["hardware"]["gpu"], describe_device(device)),
        ("code", manifest.get("source", {}).get("sha256", "")[:12], code_identity.code()["source"]["sha256"][:12]),
    ]
    found = [f"{name} {there} there, {now} here" for name, there, now in pairs if there != now]
    if not found:
        return "code, packages and machine are the same"
    return f"other differences: {'; '.join(found)}. If the cause can only be these, replay on a machine like the recorded one"


def _number(score: float | None) -> float:
    return float("nan") if score is None else score
