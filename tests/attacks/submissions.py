"""An honest submission to quick@1 and a leaderboard with one entry, for attacks to start from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from protocols import catalog
from protocols.cadence import cadence_of
from tests.make_records import make_run

QUICK = catalog.find("quick@1")
TASK = QUICK.tasks[0]
RUN = f"runs/quick@1/dreamer/{TASK}/seed-0"


def write_card(folder: Path, **fields: Any) -> None:
    card = {"name": "Honest", "authors": ["A. Author"], "input": "pixels", "paper": None, "code": None, **fields}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.json").write_text(json.dumps(card))


def honest(folder: Path, *, end: float = 500.0, **card: Any) -> Path:
    """Three seeds that end around `end`."""
    write_card(folder, **card)
    times = cadence_of(QUICK, TASK, QUICK.env_steps).evaluation_env_steps
    for seed in QUICK.seeds:
        scores = {time: [end * time / QUICK.env_steps + 9 * seed + k for k in range(QUICK.evaluate_episodes)] for time in times}
        final = [end + 9 * seed + episode for episode in range(QUICK.final_episodes)]
        make_run(folder / "runs", QUICK, agent="dreamer", task=TASK, seed=seed, scores=scores, final=final)
    return folder


def published(folder: Path, content: str | bytes, name: str = "scores.csv", **card: Any) -> Path:
    """Scores of others under `scores/`."""
    imported = {"protocol": "quick@1", "method": "m", "licence": "MIT", "source": "a paper"}
    write_card(folder, imported=imported, **card)
    (folder / "scores").mkdir()
    data = content.encode() if isinstance(content, str) else content
    (folder / "scores" / name).write_bytes(data)
    return folder


def curves(method: str = "m") -> str:
    """A tidy CSV of three seeds to the budget."""
    rows = [
        f"{method},{TASK},{seed},{step},{100 + seed + step / 1000}"
        for seed in range(3)
        for step in range(0, QUICK.env_steps + 1, QUICK.env_steps // 20)
    ]
    return "method,task,seed,env_step,score\n" + "\n".join(rows) + "\n"


def content(folder: Path) -> bytes:
    """Every byte below a folder, links followed: what would be published."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
