"""Which device a run uses, as a word that protocols can pass on. torch is imported only where a GPU may be used."""

from __future__ import annotations

from dreamer_bench_base import UserError


def resolve_device(name: str) -> str:
    """ "auto" becomes "cuda" if there is a GPU, else "cpu". Raises UserError for "cuda" without a GPU."""
    if name not in ("auto", "cpu", "cuda"):
        raise UserError(f"device {name!r} is not known; expected auto, cpu or cuda")
    if name == "cpu":
        return name
    import torch

    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        build = "this torch was built without CUDA" if torch.version.cuda is None else "torch sees no GPU"
        raise UserError(f"device 'cuda' is not available: {build}; run with --device cpu, or see `dreamer-bench doctor`")
    return "cuda" if available else "cpu"


def free_bytes(device: str) -> int | None:
    """Free memory of the GPU, in bytes; None on a CPU."""
    if not device.startswith("cuda"):
        return None
    import torch

    return int(torch.cuda.mem_get_info(device)[0])


def describe_device(device: str) -> str | None:
    """The GPU's name for the record; None on a CPU."""
    if not device.startswith("cuda"):
        return None
    import torch

    return str(torch.cuda.get_device_name(device))
