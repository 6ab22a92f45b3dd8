"""The import rules of the design, read off the source: who may import whom, no cycles, and a light command line."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("agents", "suites", "protocols", "analysis")
SIMULATORS = {"dm_control", "mujoco", "ale_py", "deepmind_lab"}
TORCH_FREE_AGENT_MODULES = (
    "agents.api",
    "agents.catalog",
    "agents.drawn",
    "agents.environments",
    "agents.interaction",
    "agents.per_seed",
    "agents.conformance.check_agent",
    "agents.recipes.random",
)


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}


def imports_of(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Absolute names a file imports; `from a import b` counts as a.b where that is a module, else as a."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} uses a relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in MODULES else str(node.module))
    return found


IMPORTS = {module: imports_of(path) for module, path in MODULES.items()}


def within(name: str, *roots: str) -> bool:
    return any(name == root or name.startswith(root + ".") for root in roots)


def violations(module_root: str, allowed: tuple[str, ...]) -> list[str]:
    """Imports of project packages from below `module_root` that are not in `allowed`."""
    return [
        f"{module} imports {name}"
        for module, names in IMPORTS.items()
        if within(module, module_root)
        for name in sorted(names)
        if within(name, *PACKAGES) and not within(name, *allowed)
    ]


def test_agents_know_no_other_package():
    assert violations("agents", ("agents",)) == []


def test_suites_know_no_other_package():
    assert violations("suites", ("suites",)) == []


ROOT_OF_PROTOCOLS = tuple(module for module in MODULES if module.count(".") == 1 and within(module, "protocols"))
VALUES = tuple(module for module in ROOT_OF_PROTOCOLS if "\nPROTOCOLS" in MODULES[module].read_text())
"""Modules that define published protocols: they hold data and nothing else."""


def test_values_of_protocols_import_nothing_but_the_specification_and_each_other():
    assert len(VALUES) >= 4
    wrong = [f"{m} imports {n}" for m in VALUES for n in IMPORTS[m] if within(n, *PACKAGES)]
    assert [line for line in wrong if line.split()[-1] not in ("protocols.spec", *VALUES)] == []


RUNNING_MAY_KNOW = (
    "protocols",
    "suites.catalog",
    "suites.lanes",
    "agents.api",
    "agents.catalog",
    "agents.device",
    "agents.drawn",
    "agents.environments",
    "agents.interaction",
    "agents.per_seed",
)


def test_running_knows_the_catalogs_and_the_contract_only_and_records_know_neither_agents_nor_suites():
    assert violations("protocols.running", RUNNING_MAY_KNOW) == []
    assert violations("protocols.costs", RUNNING_MAY_KNOW) == []
    assert violations("protocols.records", (*ROOT_OF_PROTOCOLS, "protocols.records")) == []
    assert [
        f"{m} imports {n}" for m in ROOT_OF_PROTOCOLS for n in IMPORTS[m] if within(n, "agents", "suites", "analysis")
    ] == []


def test_analysis_reads_records_through_the_protocol_package_only():
    assert (
        violations("analysis", ("analysis", "protocols.spec", "protocols.catalog", "protocols.own", "protocols.records")) == []
    )


WINGS = {
    "scores": (),
    "statistics": ("scores",),
    "figures": ("scores", "statistics"),
    "verify": ("scores", "statistics"),
    "report": ("scores", "statistics", "figures", "pages"),
    "leaderboard": ("scores", "statistics", "figures", "pages"),
}
"""Which wings of `analysis` may know which, beside themselves; `pages` is a file that knows none."""


def test_the_wings_of_analysis_are_those_of_the_tree_and_no_arrow_points_back():
    assert {module.split(".")[1] for module in MODULES if within(module, "analysis") and module.count(".") >= 2} == set(WINGS)
    wrong = [
        f"{module} imports {name}"
        for wing, known in WINGS.items()
        for module, names in IMPORTS.items()
        if within(module, f"analysis.{wing}")
        for name in sorted(names)
        if within(name, "analysis") and not within(name, *(f"analysis.{other}" for other in (wing, *known)))
    ]
    assert wrong == []


def test_torch_lives_in_agents_and_not_in_their_contract():
    users = [module for module, names in IMPORTS.items() if any(within(name, "torch") for name in names)]
    assert [module for module in users if not within(module, "agents") or module in TORCH_FREE_AGENT_MODULES] == []


def test_simulators_live_in_suites():
    users = {module for module, names in IMPORTS.items() if any(within(name, *SIMULATORS) for name in names)}
    assert [module for module in sorted(users) if not within(module, "suites")] == []


def recipe_modules() -> set[str]:
    from agents import catalog

    return {entry.recipe for entry in catalog.BUILT_IN if within(entry.recipe, "agents")}  # other tests add their own


def behavior_modules() -> set[str]:
    """Modules of agents/behaviors that define a behaviour: a class with a method `losses`, or one `WithoutLosses`."""
    return {
        module
        for module, path in MODULES.items()
        if within(module, "agents.behaviors") and module != "agents.behaviors.api"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and (
            any(getattr(item, "name", "") == "losses" for item in node.body)
            or any(getattr(base, "id", "") == "WithoutLosses" for base in node.bases)
        )
    }


@pytest.mark.parametrize("group", [recipe_modules, behavior_modules])
def test_recipes_never_import_each_other_and_behaviours_do_not_know_each_other(group):
    members = group()
    assert len(members) >= 5
    assert members <= MODULES.keys()
    assert [f"{m} imports {n}" for m in sorted(members) for n in sorted(IMPORTS[m]) if n in members and n != m] == []


AGENT_ROOMS = {
    "agents.models": ("agents.models",),
    "agents.behaviors": ("agents.behaviors", "agents.models"),
    "agents.learning": ("agents.learning", "agents.behaviors", "agents.models", "agents.api", "agents.drawn"),
}
"""Which rooms of `agents` may know which; recipes may know all of them."""


@pytest.mark.parametrize("room", AGENT_ROOMS)
def test_inside_agents_the_arrows_point_from_recipes_to_models(room):
    members = [module for module in MODULES if within(module, room)]
    assert len(members) > 3
    wrong = [
        f"{m} imports {n}" for m in members for n in IMPORTS[m] if within(n, "agents") and not within(n, *AGENT_ROOMS[room])
    ]
    assert wrong == []


def test_only_one_module_lifts_over_seeds():
    ways = {"vmap(": ["agents.learning.lifting"], "lift_over(": ["agents.learning.lifting", "agents.models.grouped"]}
    ways["_vmap_increment_nesting"] = ["agents.models.grouped"]  # where `lift_over` is defined
    found = {way: sorted(m for m, path in MODULES.items() if way in path.read_text() and within(m, "agents")) for way in ways}
    assert found == ways


def test_there_are_no_import_cycles():
    graph = {module: {name for name in names if name in MODULES and name != module} for module, names in IMPORTS.items()}
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("arguments", [["--help"], ["list", "agents"], ["list", "protocols"], ["status", "--help"]])
def test_light_commands_import_no_heavy_library(arguments):
    heavy = ["torch", "rliable", "pandas", "matplotlib", "scipy", *sorted(SIMULATORS)]
    code = (
        f"import sys; sys.argv = ['dreamer-bench', *{arguments!r}]\nimport dreamer_bench\n"
        "try: dreamer_bench.main()\nexcept SystemExit as stop: code = stop.code\n"
        f"print('HEAVY', [name for name in {heavy!r} if name in sys.modules], code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1:] == ["HEAVY [] 0"], done.stdout + done.stderr


def test_every_agent_and_protocol_name_resolves():
    from agents import catalog as agents
    from protocols import catalog as protocols
    from suites import catalog as suites

    for entry in agents.BUILT_IN:
        assert "paper" in entry.module().PROFILES, entry.name
    for protocol in protocols.entries().values():
        assert [suites.resolve(task) for task in protocol.tasks] == list(protocol.tasks)
        for name in protocols.rows(protocol):
            for profile in protocol.by_profile():
                agents.find(name).options(profile)


def test_no_private_name_is_patched_by_string():
    """A name in a string is missed by every rename. What a test has to replace is public."""
    programs = [path for folder in (*PACKAGES, "tests", "examples", "docs") for path in (ROOT / folder).rglob("*.py")]
    assert len(programs) > 300
    patched = re.compile(r"""setattr\([^()\n]*["'](?:[\w.]*\.)?_[a-z]\w*["']""")
    found = [f"{path.relative_to(ROOT)}: {match[0]}" for path in programs for match in patched.finditer(path.read_text())]
    assert found == []
