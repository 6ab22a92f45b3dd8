"""The style of a method: one colour, one marker and one line, the same in every figure, page and table.

Colours: Okabe and Ito (2008) for the agents of this benchmark, Paul Tol's "muted" set (personal.sron.nl/~pault) for
published methods; both were made to stay apart under the common kinds of colour blindness. DreamerV2 and World Models have
colours of our choice: what is left of the two sets comes too near the other agents'. Markers say the same again for print
without colour.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

RC: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],  # ships with matplotlib, so layouts do not depend on the machine
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.handlelength": 2.6,  # long enough to show dashes
    "axes.linewidth": 0.8,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 5.0,
    "hatch.linewidth": 0.6,
    "savefig.facecolor": "white",
    "text.parse_math": False,  # a "$" in a method's name is a dollar sign
    "svg.fonttype": "none",  # text stays text, for selecting, searching and screen readers
    "figure.constrained_layout.use": True,
}
"""Settings of matplotlib for all figures, on top of seaborn's theme."""

THEME: dict[str, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
    "grid.color": "#dddddd",
    "xtick.bottom": True,
    "ytick.left": True,
    "patch.force_edgecolor": False,
    "lines.solid_capstyle": "projecting",  # so that a curve of one point is visible
}
"""Our changes to seaborn's theme "whitegrid"."""

INK, MUTED, RULE = "#1a1a1a", "#5c5c5c", "#b0b0b0"


@dataclass(frozen=True, kw_only=True)
class Style:
    """Colour as #rrggbb, a matplotlib marker and a matplotlib line style."""

    color: str
    marker: str
    line: str | tuple[int, tuple[float, ...]] = "-"


KNOWN = {
    "dreamer": Style(color="#0072b2", marker="o"),
    "no_value": Style(color="#e69f00", marker="s"),
    "planet": Style(color="#009e73", marker="^"),
    "planet_icml": Style(color="#005f45", marker="v", line="--"),
    "sac": Style(color="#c4490c", marker="D"),
    "world_models": Style(color="#781e00", marker="p"),
    "random": Style(color="#404040", marker="X", line="--"),
    "d4pg": Style(color="#cc79a7", marker="v"),
    "a3c": Style(color="#56b4e9", marker="P"),
    "dreamer_v1": Style(color="#332288", marker="o", line="--"),
    "dreamer_v2": Style(color="#8733e6", marker="h"),
    "dreamer_v3": Style(color="#882255", marker="*"),
    "drq": Style(color="#44aa99", marker="<"),
    "drq_v2": Style(color="#117733", marker=">"),
    "curl": Style(color="#cc6677", marker="d"),
    "ppo": Style(color="#999933", marker="p"),
    "sac_pixels": Style(color="#a04000", marker="D", line="--"),
    "sac_state": Style(color="#661100", marker="D", line=":"),
    "tdmpc2": Style(color="#4b0092", marker="8"),
    "slac": Style(color="#88ccee", marker="H"),
    "dqn": Style(color="#6699cc", marker="s"),
    "c51": Style(color="#997700", marker="^"),
    "rainbow": Style(color="#ee99aa", marker="D"),
    "iqn": Style(color="#004488", marker="v"),
    "reconstruction": Style(color="#0072b2", marker="D", line="--"),
    "contrastive": Style(color="#aa3377", marker="s"),
    "reward_only": Style(color="#ccaa22", marker="^"),
}
"""Methods with a style chosen by hand, by name in lower case with underscores."""

SAME = {
    "dreamerv2": "dreamer_v2",
    "dreamerv3": "dreamer_v3",
    "random_actions": "random",
    "sac_on_the_model's_features": "sac",
    "world_models_controller": "world_models",
}
"""Name of a method on the cards of a board -> name in `KNOWN`."""

SPARE_COLORS = ("#332288", "#117733", "#44aa99", "#ddaa33", "#cc6677", "#aa4499", "#882255", "#994455", "#6699cc", "#5d5d00")
SPARE_MARKERS = ("o", "s", "^", "v", "D", "P", "X", "<", ">", "p", "h", "d")
REFERENCE_DASHES = (
    (0, (1, 1.2)),
    (0, (6, 2)),
    (0, (5, 1.5, 1, 1.5)),
    (0, (10, 2.5)),
    (0, (4, 1.5, 1, 1.5, 1, 1.5)),
    (0, (2.5, 2.5)),
)
"""Dashes of reference lines, in points: dots, dashes, dash-dot, long, dash-dot-dot, short."""
SHADES = (-0.5, -0.25, 0.3, 0.5)
VARIANTS = {("representation", name): KNOWN[name] for name in ("contrastive", "reward_only")}
"""The rows of Figures 8 and 11: (option, value) -> style."""
REPEATS = {
    1: Style(color="#66b5e5", marker="s"),
    2: Style(color="#0072b2", marker="o"),
    4: Style(color="#00314d", marker="^"),
}
"""The rows of Figure 12, light to dark; repeat 2 is Dreamer itself."""
VARIANT_MARKERS = ("s", "^", "D", "v", "P", "<", "p", ">", "h", "d")


def base_name(method: str) -> str:
    """The agent in a label: "dreamer" for "dreamer+1a2b3c4d~20000"; published spellings become lower case."""
    name = method.split("~")[0].split("+")[0].strip().lower().replace("-", "_").replace(" ", "_")
    return SAME.get(name, name)


def style_of(method: str, overrides: Mapping[str, Any] | None = None) -> Style:
    """The style of one method, independent of the other methods in a figure.

    Runs with overrides keep their agent's hue, lighter or darker, with another marker. The representations of Figure 8
    have their own colours. Unknown methods get a style from a hash of their name.
    """
    base = base_name(method)
    for key, value in (overrides or {}).items():
        if (key, str(value)) in VARIANTS and len(overrides or {}) == 1:
            return VARIANTS[key, str(value)]
    known = KNOWN.get(base)
    if known is None:
        number = _hash(base)
        known = Style(color=SPARE_COLORS[number % len(SPARE_COLORS)], marker=SPARE_MARKERS[number // 16 % len(SPARE_MARKERS)])
    if "+" in method:
        number = _hash(method)
        known = replace(
            known,
            color=_shade(known.color, SHADES[number % len(SHADES)]),
            line="--",
            marker=VARIANT_MARKERS[number // 16 % len(VARIANT_MARKERS)],
        )
    if "~" in method:
        known = replace(known, line=":")
    return known


def styles_of(methods: Iterable[str], overrides: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Style]:
    """The styles of methods that share a figure.

    Two that would look the same get different markers. If two have the same colour, the one without its own style takes a spare
    colour. Known methods choose first, then the others by name, so the order of the methods has no effect.
    """
    chosen: dict[str, Style] = {}
    names = list(dict.fromkeys(methods))
    for method in sorted(names, key=lambda name: (base_name(name) not in KNOWN, "" if base_name(name) in KNOWN else name)):
        wanted = style_of(method, (overrides or {}).get(method))
        if base_name(method) not in KNOWN and "+" not in method:
            colors = {other.color for other in chosen.values()}
            free_colors = (color for color in (wanted.color, *SPARE_COLORS) if color not in colors)
            wanted = replace(wanted, color=next(free_colors, wanted.color))
        taken = {(other.color, other.marker) for other in chosen.values()}
        free = (wanted.marker, *(marker for marker in SPARE_MARKERS if marker != wanted.marker))
        marker = next((marker for marker in free if (wanted.color, marker) not in taken), wanted.marker)
        chosen[method] = replace(wanted, marker=marker)
    return {method: chosen[method] for method in names}


def reference_styles(labels: Iterable[str]) -> dict[str, Style]:
    """Styles of the horizontal lines of one figure: no two have the same colour, and up to six lines have different dashes.

    A method keeps the colour of its curve. If two have the same colour, the later one takes a spare colour.
    """
    chosen: dict[str, Style] = {}
    for index, label in enumerate(dict.fromkeys(labels)):
        taken = {style.color for style in chosen.values()}
        wanted = style_of(label).color
        color = next((color for color in (wanted, *SPARE_COLORS) if color not in taken), wanted)
        chosen[label] = Style(color=color, marker="", line=REFERENCE_DASHES[index % len(REFERENCE_DASHES)])
    return chosen


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def _shade(color: str, amount: float) -> str:
    """The colour, mixed with white (amount > 0) or black (amount < 0)."""
    parts = (int(color[start : start + 2], 16) for start in (1, 3, 5))
    end = 255 if amount > 0 else 0
    return "#" + "".join(f"{round(part + (end - part) * abs(amount)):02x}" for part in parts)


def task_label(task: str) -> str:
    """The title of a task's panel: "Walker Walk" for "dmc_walker_walk", "Pendulum-v1" for "gym:Pendulum-v1".

    Joined tasks: "Cup Catch (repeat 4) + Walker Walk" for "joined:dmc_cup_catch*4+dmc_walker_walk".
    """
    if task.startswith("joined:"):
        parts = (part.partition("*") for part in task.removeprefix("joined:").split("+"))
        return " + ".join(f"{task_label(name)} (repeat {repeat})" if repeat else task_label(name) for name, _, repeat in parts)
    if task.startswith("gym:"):
        return task.removeprefix("gym:")
    for prefix in ("dmc_", "atari_", "dmlab_", "probe_"):
        task = task.removeprefix(prefix)
    return " ".join(word.capitalize() for word in task.split("_"))


def short_count(value: float) -> str:
    """A short form of a count: 5M, 200k, 1.25M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def number(value: float, digits: int = 1) -> str:
    """A score for people, with a true minus sign; a dash for a missing one."""
    return "–" if value != value else f"{value:,.{digits}f}".replace("-", "−")


def bar_number(value: float) -> str:
    """A score on a bar: a whole number if it is large, and enough digits to differ from 0 if it is small."""
    size = abs(value)
    digits = 0 if size >= 100 or size == 0 else 1 if size >= 1 else 2 if size >= 0.01 else 4
    return number(value, digits)
