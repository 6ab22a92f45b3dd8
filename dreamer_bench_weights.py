"""Checks a checkpoint's archive before it is loaded: it must not need more memory than its own bytes.

PyTorch's `weights_only` prevents a file from running code, but not from allocating terabytes: a tensor may have a shape larger
than its storage, a constructor takes any size, and nested or repeated containers take any time. So this file first follows the
structure of the pickle, by the few instructions that `torch.save` writes for numbers, text, containers and tensors, and refuses
everything else. Imports only the standard library, so that readers without torch can use it.
"""

from __future__ import annotations

import pickletools
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dreamer_bench_base import InvalidData

MOST_WEIGHT_BYTES = 2 << 30
"""Most bytes of a file of weights; DreamerV2 at the size of the paper, with Adam's moments, has 270 MB."""
MOST_PICKLE_BYTES = 64 << 20
"""Most bytes of its structure; 20 kB are usual."""
MOST_DEPTH, MOST_VALUES = 32, 2_000_000
"""Most levels of nested containers (6 are usual) and values in them (6,000 are usual); a value in two places counts twice."""
MOST_DIMENSIONS = 16

_STORAGES = {
    "ByteStorage": 1, "CharStorage": 1, "BoolStorage": 1, "ShortStorage": 2, "HalfStorage": 2, "BFloat16Storage": 2,
    "IntStorage": 4, "FloatStorage": 4, "LongStorage": 8, "DoubleStorage": 8, "ComplexFloatStorage": 8,
}  # fmt: skip
"""PyTorch's name of a storage -> bytes per element."""
_MEMBER = re.compile(
    r"(?P<top>[^/]+)/(data\.pkl|byteorder|version|\.format_version|\.storage_alignment|\.data/serialization_id|data/\d+)"
)
_CURE = "copy the runs folder again as `run` left it"


@dataclass(frozen=True)
class _Storage:
    elements: int


@dataclass(frozen=True)
class _Name:
    """A name that the pickle may call or refer to."""

    module: str
    name: str


class _Mark:
    """Where the values of a container begin on the stack."""


def unpacked_bytes(file: IO[bytes], path: Path) -> int:
    """Bytes of the entries of a zip archive (as PyTorch and NumPy write), 0 for any other file.

    Raises InvalidData, in one line, for a .pt file that is not as `torch.save` writes it.
    """
    is_zip = file.read(2) == b"PK"
    file.seek(0)
    if path.suffix == ".pt":
        return _checked(file, path)
    return sum(entry.file_size for entry in _opened(file, path).infolist()) if is_zip else 0


def check_weights(path: Path) -> None:
    """Raises InvalidData, in one line, for a file that needs more memory than its bytes or that `torch.save` never writes."""
    with path.open("rb") as file:
        _checked(file, path)


def _opened(file: IO[bytes], path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        raise InvalidData(f"{path} is no whole zip archive, as a checkpoint's must be; {_CURE}") from None


def _checked(file: IO[bytes], path: Path) -> int:
    size = file.seek(0, 2)
    file.seek(0)
    if size > MOST_WEIGHT_BYTES:
        raise InvalidData(f"{path} has {size:,} bytes; at most {MOST_WEIGHT_BYTES:,} of weights are loaded")
    archive = _opened(file, path)
    entries = archive.infolist()
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > size or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise InvalidData(
            f"{path} is compressed and unpacks to {unpacked:,} bytes; PyTorch writes checkpoints without compression: {_CURE}"
        )
    members = [_MEMBER.fullmatch(entry.filename) for entry in entries]
    tops = {member["top"] for member in members if member}
    if not all(members) or len(tops) != 1 or len({entry.filename for entry in entries}) != len(entries):
        raise InvalidData(f"{path} holds other files than `torch.save` writes; {_CURE}")
    (top,) = tops
    sizes = {entry.filename.removeprefix(f"{top}/data/"): entry.file_size for entry in entries}
    try:
        pickled = archive.getinfo(f"{top}/data.pkl")
        if pickled.file_size > MOST_PICKLE_BYTES:
            raise ValueError(f"its structure takes {pickled.file_size:,} bytes, at most {MOST_PICKLE_BYTES:,} are read")
        _check_size(_structure(archive.read(pickled), sizes))
    except (ValueError, LookupError, TypeError, zipfile.BadZipFile) as error:
        why = " ".join(str(error).split())[:160]
        raise InvalidData(f"{path} is no checkpoint of weights ({why}); nothing of it was loaded; {_CURE}") from None
    return unpacked


def _structure(data: bytes, sizes: Mapping[str, int]) -> Any:
    """The structure of the pickle, with sizes instead of tensors. Raises ValueError, LookupError or TypeError for others."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    argument: Any
    for code, argument, _ in pickletools.genops(data):
        match code.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                (whole,) = stack
                return whole
            case "MARK":
                stack.append(_Mark)
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[code.name])
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT" | "BINUNICODE":
                stack.append(argument)
            case "EMPTY_TUPLE" | "EMPTY_LIST" | "EMPTY_DICT":
                stack.append({"EMPTY_TUPLE": (), "EMPTY_LIST": [], "EMPTY_DICT": {}}[code.name])
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(code.name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "TUPLE":
                stack.append(tuple(_since_mark(stack)))
            case "APPEND" | "APPENDS":
                values = [stack.pop()] if code.name == "APPEND" else _since_mark(stack)
                _of(list, stack[-1]).extend(values)
            case "SETITEM" | "SETITEMS":
                values = [stack.pop(-2), stack.pop()] if code.name == "SETITEM" else _since_mark(stack)
                target = _of(dict, stack[-1])
                for key, value in zip(values[::2], values[1::2], strict=True):
                    if type(key) not in (str, int):
                        raise TypeError(f"a key is a {type(key).__name__}, expected text or a whole number")
                    target[key] = value
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "BUILD":  # a module's state is an OrderedDict with an attribute
                state = _of(dict, stack.pop())
                _of(dict, stack[-1])["__dict__"] = state
            case "GLOBAL":
                stack.append(_Name(*argument.split(" ", 1)))
            case "BINPERSID":
                stack.append(_storage(stack.pop(), sizes))
            case "REDUCE":
                arguments, called = stack.pop(), stack.pop()
                stack.append(_called(called, _of(tuple, arguments)))
            case other:
                raise ValueError(f"its pickle has the instruction {other}, which `torch.save` does not write for tensors")
    raise ValueError("its pickle is cut short")


def _since_mark(stack: list[Any]) -> list[Any]:
    start = max(index for index, value in enumerate(stack) if value is _Mark)
    values = stack[start + 1 :]
    del stack[start:]
    return values


def _of(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"found a {type(value).__name__} where a {kind.__name__} is expected")
    return value


def _storage(named: Any, sizes: Mapping[str, int]) -> _Storage:
    what, kind, key, _, elements = _of(tuple, named)
    if what != "storage" or not isinstance(kind, _Name) or kind.module != "torch" or kind.name not in _STORAGES:
        raise ValueError("it points at something else than a storage of numbers")
    held = sizes[_of(str, key)]
    if _of(int, elements) * _STORAGES[kind.name] != held:
        raise ValueError(f"storage {key} declares {elements:,} elements of {kind.name} and holds {held:,} bytes")
    return _Storage(elements)


def _called(called: Any, arguments: tuple[Any, ...]) -> Any:
    if called == _Name("collections", "OrderedDict") and not arguments:
        return {}
    if called == _Name("torch._utils", "_rebuild_parameter"):
        return _of(_Storage, arguments[0])
    if called != _Name("torch._utils", "_rebuild_tensor_v2"):
        named = f"{called.module}.{called.name}" if isinstance(called, _Name) else type(called).__name__
        raise ValueError(f"its pickle calls {named}, which no checkpoint needs")
    storage, offset, size, stride, _, hooks = arguments
    elements = _of(_Storage, storage).elements
    size, stride = _of(tuple, size), _of(tuple, stride)
    if hooks != {} or len(size) != len(stride) or len(size) > MOST_DIMENSIONS:
        raise ValueError("a tensor's shape and strides do not fit each other")
    if any(type(number) is not int or number < 0 for number in (offset, *size, *stride)):
        raise ValueError("a tensor's shape or stride is no whole number of 0 or more")
    count = 1
    for width in size:
        count *= width
    last = offset + sum((width - 1) * step for width, step in zip(size, stride, strict=True)) if count else 0
    if count > elements or last >= elements > 0 or (count and not elements):
        raise ValueError(f"a tensor of shape {list(size)[:8]} does not fit its storage of {elements:,} elements")
    return _Storage(count)


def _check_size(whole: Any) -> None:
    """Raises ValueError if following the containers would take too long."""
    levels: list[Iterator[Any]] = [iter((whole,))]
    seen = 0
    while levels:
        value = next(levels[-1], _Mark)
        if value is _Mark:
            levels.pop()
            continue
        seen += 1
        if seen > MOST_VALUES or len(levels) > MOST_DEPTH:
            raise ValueError(f"its containers hold more than {MOST_VALUES:,} values or {MOST_DEPTH} levels")
        if isinstance(value, (list, tuple)):
            levels.append(iter(value))
        elif isinstance(value, dict):
            levels.append(iter(value.values()))
