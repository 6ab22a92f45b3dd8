"""The commands `evaluate` and `video`, which load the checkpoint of one run. Fast to import."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from dreamer_bench_base import UserError


@dataclass(frozen=True, kw_only=True)
class EvaluateCommand:
    """Play evaluation episodes with the newest checkpoint of a run. Prints the scores and changes no record."""

    run_folder: tyro.conf.Positional[Path]
    """Folder of one seed: runs/<protocol>/<agent>/<task>/seed-<n>."""
    episodes: int = 10
    """Episodes to play. The first ones are those of the protocol's final evaluation, with the same environment seeds."""
    device: str = "auto"
    """Device to compute on: auto, cpu or cuda."""
    json: Path | None = None
    """Also write the scores as JSON to this file."""

    def run(self) -> int:
        from agents.device import resolve_device
        from protocols.records.json_files import write_json
        from protocols.running.load_run import revive

        if self.episodes < 1:
            raise UserError(f"--episodes must be at least 1, got {self.episodes}")
        if self.json is not None and (self.json.is_dir() or not self.json.parent.is_dir()):
            raise UserError(f"--json {self.json} is not in an existing folder; make its folder first")
        revived = revive(self.run_folder, device=resolve_device(self.device))
        played = revived.play(self.episodes)
        manifest = revived.run.manifest
        print(
            f"{manifest['label']} {manifest['task']} seed {manifest['seed']}, {revived.protocol.id}, "
            f"checkpoint {revived.checkpoint}"
        )
        for number, episode in enumerate(played):
            print(
                f"  episode {number:>3}  env_seed {episode.env_seed:>10}  score {episode.score:9.2f}  "
                f"{episode.length} agent_steps"
            )
        print(f"  mean score {sum(episode.score for episode in played) / len(played):.2f} over n={len(played)} episodes")
        if self.json is not None:
            write_json(
                self.json,
                {
                    "protocol": revived.protocol.id,
                    "digest": manifest["digest"],
                    "agent": manifest["label"],
                    "task": manifest["task"],
                    "seed": manifest["seed"],
                    "checkpoint": revived.checkpoint,
                    "episodes": [{"env_seed": each.env_seed, "score": each.score, "length": each.length} for each in played],
                },
            )
        return 0


@dataclass(frozen=True, kw_only=True)
class VideoCommand:
    """Film evaluation episodes played with the newest checkpoint of a run, as the agent sees them."""

    run_folder: tyro.conf.Positional[Path]
    """Folder of one seed: runs/<protocol>/<agent>/<task>/seed-<n>."""
    out: Path = Path("video.webp")
    """File to write, .webp or .gif. Several episodes are numbered: video-0.webp, video-1.webp."""
    episodes: int = 1
    """Episodes to film."""
    device: str = "auto"
    """Device to compute on: auto, cpu or cuda."""

    def run(self) -> int:
        from agents.device import resolve_device
        from dreamer_bench_files import write_atomically
        from protocols.running.film import animation
        from protocols.running.load_run import revive

        kinds: dict[str, Literal["WEBP", "GIF"]] = {".webp": "WEBP", ".gif": "GIF"}
        if self.episodes < 1 or self.out.suffix not in kinds:
            raise UserError(
                f"expected at least one episode and a file ending in .webp or .gif, got {self.episodes} and {self.out.name!r}"
            )
        if not self.out.parent.is_dir():
            raise UserError(f"folder {str(self.out.parent)!r} of --out does not exist; make it first")
        revived = revive(self.run_folder, device=resolve_device(self.device))
        for number in range(self.episodes):
            (episode,) = revived.play(1, film=True, first_index=number)
            if not episode.frames:
                raise UserError(f"{revived.run.manifest['task']} shows vectors, not images; give a run of a task with pixels")
            target = self.out if self.episodes == 1 else self.out.with_stem(f"{self.out.stem}-{number}")
            write_atomically(target, animation(episode.frames, kinds[self.out.suffix]))
            print(f"{target}: score {episode.score:.2f}, {len(episode.frames)} frames")
        return 0


COMMANDS: dict[str, Any] = {"evaluate": EvaluateCommand, "video": VideoCommand}
