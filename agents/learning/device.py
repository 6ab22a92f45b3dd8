"""Which device a run uses, as a word the protocols can hand on. Imported through `agents.catalog.resolve_device` only."""

from __future__ import annotations

import torch

from dreamer_bench_base import UserError


def resolve(name: str) -> str:
    """ "auto" -> "cuda" where there is a GPU, else "cpu". Raises ValueError for "cuda" without a GPU."""
    if name not in ("auto", "cpu", "cuda"):
        raise UserError(f"device {name!r} is not known; expected auto, cpu or cuda")
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        build = "this torch was built without CUDA" if torch.version.cuda is None else "torch sees no GPU"
        raise UserError(f"device 'cuda' is not available: {build}; run with --device cpu, or see `dreamer-bench doctor`")
    return "cuda" if name == "cuda" or (name == "auto" and available) else "cpu"


def describe(device: str) -> str | None:
    """The GPU's name for the record, None on a CPU."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else None
