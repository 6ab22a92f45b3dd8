"""Trees of tensors. A tree is a tensor, or a mapping, sequence or named tuple of trees."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def row(tree: Any, s: int) -> Any:
    """The row of seed `s` of a tensor [S, ...], or of a mapping of such tensors."""
    if isinstance(tree, Tensor):
        return tree[s]
    return {name: row(part, s) for name, part in tree.items()}


def stack(trees: Sequence[Any]) -> Any:
    """Inverse of `row` for tensors, mappings and tuples."""
    first = trees[0]
    if isinstance(first, Tensor):
        return torch.stack(list(trees))
    if isinstance(first, Mapping):
        return {name: stack([tree[name] for tree in trees]) for name in first}
    return tuple(stack(parts) for parts in zip(*trees))


def detached(tree: Any) -> Any:
    if isinstance(tree, Tensor):
        return tree.detach()
    if isinstance(tree, Mapping):
        return {name: detached(part) for name, part in tree.items()}
    return type(tree)(*(detached(part) for part in tree))


def mapped(function: Callable[[Tensor], Tensor], tree: Any) -> Any:
    """The same tree with the function applied to every tensor."""
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, Mapping):
        return {name: mapped(function, part) for name, part in tree.items()}
    parts = [mapped(function, part) for part in tree]
    return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)


def cloned(tree: Any) -> Any:
    return mapped(torch.clone, tree)


def leaves(tree: Any) -> list[Tensor]:
    """The tensors of a tree, mappings in the order of their sorted names."""
    if isinstance(tree, Tensor):
        return [tree]
    parts = [tree[name] for name in sorted(tree)] if isinstance(tree, Mapping) else tree
    return [leaf for part in parts for leaf in leaves(part)]


def signature(tree: Any) -> Any:
    """Names, shapes and types of a tree's tensors, for comparison."""
    if isinstance(tree, Tensor):
        return (tuple(tree.shape), tree.dtype)
    if isinstance(tree, Mapping):
        return tuple((name, signature(tree[name])) for name in sorted(tree))
    return tuple(signature(part) for part in tree)
