"""The record of `dreamer-bench bench` as Markdown tables, for docs/log.md. Pure text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

NOT_MEASURED = "not measured"


def tables(record: Mapping[str, Any]) -> str:
    """All tables, below a line about the machine."""
    machine, bench = record["machine"], record["bench"]
    programs = bench["programs"]
    parts = [
        _machine(machine, bench),
        updates_table(programs),
        _decisions(programs, record["agents"]),
        stages_table(programs),
        _roofline(programs),
        _environments(bench["frames"], record["environments"]),
    ]
    return "\n\n".join(parts) + "\n"


def _machine(machine: Mapping[str, Any], bench: Mapping[str, Any]) -> str:
    commit = f"`{(machine.get('commit') or 'none')[:12]}`" + (" with changes" if machine.get("dirty") else "")
    device = machine.get("gpu") or machine["cpu"]
    driver = f", driver {machine['driver']}, CUDA {machine['cuda']}" if machine.get("driver") else ""
    return (
        f"{device}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB; torch {machine['torch']} with "
        f"{machine['threads']} threads{driver}; frames drawn by {machine['gl_renderer']}; commit {commit}, "
        f"{machine['created'][:10]}.\nProtocol `{bench['protocol']}`, profile `{bench['profile']}`, "
        f"task `{bench['task']}`, {bench['seconds']:g} s a measurement; medians."
    )


def updates_table(programs: Sequence[Mapping[str, Any]]) -> str:
    """Updates per second of the whole program, and of all its seeds together."""
    ways = list(dict.fromkeys(way for program in programs for way in _asked(program)))
    rows = []
    for program in programs:
        times = program["speed"].get("updates", {})
        if not ways or (program["skipped"] is None and not _asked(program)):
            continue
        best = min(times.values(), default=None)
        together = NOT_MEASURED if best is None else f"{program['seeds'] / best:.3g}"
        rows.append([program["agent"], str(program["seeds"]), *(_rate(times.get(way)) for way in ways), together])
    notes = {f"{way}: {why}" for program in programs for way, why in program["speed"].get("failures", {}).items()}
    notes |= {f"{program['agent']}, S = {program['seeds']}: {program['skipped']}" for program in programs if program["skipped"]}
    notes |= {
        f"{program['agent']}, S = {program['seeds']}, {way}: one call after the first"
        for program in programs
        for way, calls in program["speed"].get("calls", {}).items()
        if calls == 1
    }
    text = _table(["agent", "S", *(f"updates/s, {way}" for way in ways), "seed updates/s, best"], rows)
    return "\n".join([text, *([""] if notes else []), *(f"- {note}" for note in sorted(notes))])


def _asked(program: Mapping[str, Any]) -> list[str]:
    return [*program["speed"].get("updates", {}), *program["speed"].get("failures", {})]


def _decisions(programs: Sequence[Mapping[str, Any]], costs: Sequence[Mapping[str, Any]]) -> str:
    known = {(cost["agent"], cost["seeds_per_program"]): cost for cost in costs}
    rows = []
    for program in programs:
        cost, speed = known.get((program["agent"], program["seeds"])), program["speed"]
        if cost is None:
            continue
        gpu = speed.get("device_memory_bytes")
        rows.append(
            [
                program["agent"],
                str(program["seeds"]),
                f"{1e3 * speed['act']:.3g}",
                f"{1e3 * speed['evaluate']:.3g}",
                f"{1e3 * cost['observe_seconds']:.3g}",
                f"{program['env_steps_per_second_and_seed']:.3g}",
                f"{cost['memory_bytes'] / 2**30:.2f}",
                "-" if gpu is None else f"{gpu / 2**30:.2f}",
            ]
        )
    return _table(
        [
            "agent",
            "S",
            "act, ms",
            "act in evaluation, ms",
            "observe, ms",
            "env_steps/s and seed, end to end",
            "memory, GiB",
            "GPU memory, GiB",
        ],
        rows,
    )


def stages_table(programs: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for program in programs for name in program["speed"].get("stages", {})))
    rows = []
    for program in programs:
        stages = program["speed"].get("stages", {})
        if not stages:
            continue
        total = sum(stages.values())
        rows.append(
            [
                program["agent"],
                str(program["seeds"]),
                f"{1e3 * total:.3g}",
                *(f"{100 * stages.get(name, 0.0) / total:.1f} %" for name in names),
            ]
        )
    return _table(["agent", "S", "eager update, ms", *names], rows)


def _roofline(programs: Sequence[Mapping[str, Any]]) -> str:
    """Each part beside the machine's own matrix product, and the lower bound: the FLOP of the update at the product's rate."""
    rows, floors = [], []
    for program in programs:
        speed = program["speed"]
        product, work = speed.get("product_flop_per_second"), speed.get("work", {})
        if not product or not work:
            continue
        for part, (flop, moved) in work.items():
            seconds = speed["stages"][part]
            rows.append(
                [
                    *(program["agent"], str(program["seeds"]), part, f"{1e3 * seconds:.3g}"),
                    *(f"{flop / 1e9:.4g}", f"{moved / 1e9:.3g}", f"{flop / seconds / 1e9:.3g}"),
                    f"{100 * flop / seconds / product:.1f} %",
                ]
            )
        total, spent = sum(flop for flop, _ in work.values()), sum(speed["stages"].values())
        floors.append(
            f"- {program['agent']}, S = {program['seeds']}: the machine's own product of 2048² matrices reaches "
            f"{product / 1e9:.4g} GFLOP/s; {total / 1e12:.3g} TFLOP an update are at least {total / product:.3g} s, "
            f"measured {spent:.3g} s: {spent * product / total:.2f} times the floor"
        )
    head = ["agent", "S", "part of an update", "ms", "GFLOP", "GB read and written", "GFLOP/s", "share of the product"]
    return "\n".join([_table(head, rows), "", *floors])


def _environments(frames: Sequence[Mapping[str, Any]], environments: Sequence[Mapping[str, Any]]) -> str:
    lines = _table(
        ["workers", "frames/s", "env_steps/s"],
        [
            [
                str(row["workers"] or "0 (in this process)"),
                _number(row.get("frames_per_second")),
                _number(row.get("env_steps_per_second")),
            ]
            for row in frames
        ],
    )
    single = _table(
        ["task", "action repeat", "decision, ms", "reset, ms"],
        [
            [
                row["task"],
                str(row["action_repeat"]),
                f"{1e3 * row['agent_step_seconds']:.3g}",
                f"{1e3 * row['reset_seconds']:.3g}",
            ]
            for row in environments
        ],
    )
    return f"{lines}\n\n{single}"


def _rate(seconds: float | None) -> str:
    return NOT_MEASURED if seconds is None else f"{1 / seconds:.3g}"


def _number(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:.4g}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
