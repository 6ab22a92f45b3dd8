"""The private names of torch that the code relies on: any release may drop one, so they are listed and torch is bounded."""

from __future__ import annotations

import ast
import importlib
import tomllib
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]

USED = {
    ("torch._C", "_functorch"): "agents/models/grouped.py",
    ("torch._C._functorch", "_add_batch_dim"): "agents/models/grouped.py",
    ("torch._C._functorch", "_remove_batch_dim"): "agents/models/grouped.py",
    ("torch._C._functorch", "_unwrap_batched"): "agents/models/grouped.py",
    ("torch._C._functorch", "_vmap_decrement_nesting"): "agents/models/grouped.py",
    ("torch._C._functorch", "_vmap_increment_nesting"): "agents/models/grouped.py",
    ("torch._C._functorch", "is_batchedtensor"): "agents/models/grouped.py",
    ("torch._functorch.pyfunctorch", "retrieve_current_functorch_interpreter"): "agents/models/grouped.py",
    ("torch.utils._python_dispatch", "TorchDispatchMode"): "agents/roofline.py",
    ("torch.utils._pytree", "tree_leaves"): "agents/roofline.py",
    ("torch", "_foreach_copy_"): "agents/learning/captured.py",
    ("torch", "_fused_adam_"): "agents/learning/optimiser.py",
    ("torch._dynamo.exc", "TorchDynamoException"): "agents/measure.py",
}
"""(module, name) -> the file that uses it"""


@pytest.mark.parametrize(("module", "name"), USED)
def test_torch_still_has_the_private_name(module, name):
    assert hasattr(importlib.import_module(module), name), (
        f"torch {torch.__version__} has no {module}.{name}, which {USED[module, name]} uses: change that file (tests of its "
        "slow twin say whether it is right), then the bound of torch in pyproject.toml"
    )


def test_every_private_name_of_torch_is_listed():
    found = set()
    for path in sorted((ROOT / "agents").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and is_private(node.module):
                found |= {(node.module, alias.name) for alias in node.names}
            elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "_C":
                found.add(("torch._C._functorch", node.attr))
            elif isinstance(node, ast.Attribute) and is_private(ast.unparse(node)):
                module, _, name = ast.unparse(node).rpartition(".")
                found.add((module, name))
    inner = {(module, name) for module, name in found if importlib_knows(f"{module}.{name}")}  # a module on the way to a name
    assert found - inner <= USED.keys()


def is_private(dotted: str) -> bool:
    first, *rest = dotted.split(".")
    return first == "torch" and any(part.startswith("_") and not part.startswith("__") for part in rest)


def importlib_knows(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


def test_torch_is_bounded_by_the_last_minor_that_was_tested():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    torch_of = next(Requirement(line) for line in extras["train"] if Requirement(line).name == "torch")
    tested = next(
        line.split("==")[1] for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch==")
    )
    major, minor, *_ = map(int, tested.split("."))
    assert torch_of.specifier.contains(tested)
    assert not torch_of.specifier.contains(f"{major}.{minor + 1}.0")
