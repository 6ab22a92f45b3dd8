"""TensorBoard event files, read by TensorBoard itself (`pip install 'dreamer-bench[tensorboard]'`)."""

from __future__ import annotations

from typing import Any

from analysis.scores.formats import log_names
from analysis.scores.formats.raw import Raw
from analysis.scores.formats.source import Source, problem
from analysis.scores.import_options import Options
from dreamer_bench_base import UserError


def parse(source: Source, options: Options) -> Raw:
    """The points of one scalar: the tag of --score, else the first known name of a return."""
    import pandas as pd

    points = _scalars(source)
    tag = options.score or log_names.first(log_names.SCORES, points)
    if tag not in points:
        there = ", ".join(sorted(points)[:8]) or "none"
        raise problem(source.path, "", "holds no return known here", f"name its tag with `import --score`; it has {there}")
    frame = pd.DataFrame(points[tag], columns=["place", "step", "score"])
    notes = (f"scores are the tag {tag!r}",) if options.score is None else ()
    return Raw(frame=frame, unit=log_names.STEPS.get(options.step or ""), steps="the event's step", is_log=True, notes=notes)


def _scalars(source: Source) -> dict[str, list[tuple[Any, ...]]]:
    """Tag -> list of (place, step, value)."""
    try:
        from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
        from tensorboard.util import tensor_util
    except ImportError:
        raise UserError(
            f"{source.path} is a TensorBoard event file; install its reader: pip install 'dreamer-bench[tensorboard]'"
        ) from None
    found: dict[str, list[tuple[Any, ...]]] = {}
    for number, event in enumerate(EventFileLoader(str(source.path)).Load(), start=1):
        for value in event.summary.value:
            if value.HasField("simple_value"):
                score = float(value.simple_value)
            elif value.HasField("tensor") and not value.tensor.tensor_shape.dim:
                array = tensor_util.make_ndarray(value.tensor)
                if array.dtype.kind not in "iuf":
                    continue
                score = float(array)
            else:
                continue
            found.setdefault(value.tag, []).append((f"event {number}", float(event.step), score))
    return found
