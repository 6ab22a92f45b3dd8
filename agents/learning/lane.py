"""The rows of one environment, in blocks of memory or of mapped files. NumPy only.

A row never changes its number. With a capacity, the oldest rows are dropped, and their blocks with them.
With mapped files, a Lane keeps at most `resident_bytes` in the process's resident set (default: api.REPLAY_RESIDENT_BYTES). It
counts pages as it touches them and releases them before the limit. Released pages stay in the files. The system may also cache
them outside the process and frees that cache when memory is needed.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.api import REPLAY_RESIDENT_BYTES
from dreamer_bench_base import UserError

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

BLOCK_BYTES = 2**29
"""Size of a block; memory is used only for pages that are written. Large, because every mapped file keeps a descriptor open."""


RESERVE_BYTES = 2**23
"""Disk space is reserved this far ahead of the rows, so that a full disk is an OSError. In a map it would be a fatal SIGBUS."""


STATES_BEHIND = 2
"""Files of dropped rows stay until two more states have been taken, so that a run can return to its last checkpoints."""


HASHED_AT_ONCE = 2**20


FAULT_AROUND_BYTES = 2**16
"""Reading a missing page also maps the cached pages around it; this is Linux's default (mm/memory.c, fault_around_bytes)."""


class Lane:
    """The rows of one environment in the order of arrival: rows first, first + 1, ..., rows - 1 are there.

    resident_bytes  most bytes that are mapped into the process's resident set at a time; ignored without a folder.
                    It must be at least a row and the pages around it (some 150 kB with images)
    """

    def __init__(self, row: np.dtype, folder: Path | None, resident_bytes: int = REPLAY_RESIDENT_BYTES):
        self.row, self.folder, self.first, self.rows = row, folder, 0, 0
        self.block_rows = max(1024, BLOCK_BYTES // row.itemsize)
        self._blocks: dict[int, np.ndarray] = {}
        self._maps: dict[int, mmap.mmap] = {}  # the same blocks as bytes, if they are files
        self._firsts: deque[int] = deque(maxlen=1 + STATES_BEHIND)  # the first row at each of the last states
        self._reserved = 0  # bytes of the last block for which disk space is reserved
        self._resident_bytes, self._touched = resident_bytes, 0
        self._hashes: dict[int, Hash] = {}  # hash of the rows so far of every block, if they are files

    def append(self, values: Mapping[str, Any]) -> None:
        block, place = divmod(self.rows, self.block_rows)
        if block not in self._blocks:
            self._blocks[block] = self._new_block(block)
        if place == 0:
            self._reserved = 0
        if self.folder is not None:
            self._reserve(self.folder, block, place * self.row.itemsize)
            self._touch(self.row.itemsize + 2 * mmap.PAGESIZE)
        for key, value in values.items():
            self._blocks[block][key][place] = value
        if self.folder is not None:
            self._hashes.setdefault(block, hashlib.sha256()).update(self._blocks[block][place].tobytes())
        self.rows += 1

    def _reserve(self, folder: Path, block: int, begin: int) -> None:
        if begin + self.row.itemsize <= self._reserved:
            return
        end = min(begin + max(RESERVE_BYTES, self.row.itemsize), self.block_rows * self.row.itemsize)
        with _file(folder, block).open("rb+") as file:
            os.posix_fallocate(file.fileno(), begin, end - begin)
        self._reserved = end

    def _new_block(self, number: int, *, must_exist: bool = False) -> np.ndarray:
        size = self.block_rows * self.row.itemsize
        if self.folder is None:
            # Not from malloc, so that pages that are never written take no memory, however malloc is configured.
            return np.frombuffer(mmap.mmap(-1, size), self.row)
        path = _file(self.folder, number)
        whole = path.exists() and path.stat().st_size == size
        if must_exist and not whole:
            raise UserError(
                f"replay {path} is {'damaged' if path.exists() else 'missing'}: expected {size} bytes; "
                "restore it from a copy, or start the run again in another folder"
            )
        with path.open("rb+" if whole else "wb+") as file:
            file.truncate(size)
            mapped = self._maps[number] = mmap.mmap(file.fileno(), size)
        # Sequences begin anywhere, and `expect` reads them as a whole, so read-ahead by the system is of no use.
        mapped.madvise(mmap.MADV_RANDOM)
        return np.frombuffer(mapped, self.row)

    def _touch(self, count: int) -> None:
        """Counts `count` more bytes of pages; releases pages first if the resident set would exceed its limit."""
        if self._touched + count > self._resident_bytes:
            for mapped in self._maps.values():
                mapped.madvise(mmap.MADV_DONTNEED)  # in a shared map this releases the process's pages, not the file's data
            self._touched = 0
        self._touched += count

    def _parts(self, start: int, rows: int, at_once: int) -> Iterator[tuple[int, int, int, int]]:
        """(rows before, block, place, rows): rows start, start + 1, ... in pieces that are each within one block."""
        done = 0
        while done < rows:
            block, place = divmod(start + done, self.block_rows)
            count = min(rows - done, self.block_rows - place, at_once)
            yield done, block, place, count
            done += count

    def expect(self, start: int, rows: int) -> None:
        """Starts reading rows start, start + 1, ... from the disk without waiting."""
        if self.folder is None:
            return
        for _, block, place, count in self._parts(start, rows, rows):
            begin = place * self.row.itemsize
            page = begin - begin % mmap.PAGESIZE
            self._maps[block].madvise(mmap.MADV_WILLNEED, page, begin + count * self.row.itemsize - page)

    def read(self, start: int, out: Mapping[str, np.ndarray]) -> None:
        """Copies rows start, start + 1, ... into `out`, [L, ...] each."""
        rows, around = len(next(iter(out.values()))), 2 * FAULT_AROUND_BYTES
        at_once = max(1, (self._resident_bytes - around) // self.row.itemsize)
        for done, block, place, count in self._parts(start, rows, rows if self.folder is None else at_once):
            if self.folder is not None:
                self._touch(count * self.row.itemsize + around)
            for key, values in out.items():
                values[done : done + count] = self._blocks[block][key][place : place + count]

    def everything(self) -> np.ndarray:
        """A copy of all rows from `first` on."""
        pieces = self._parts(self.first, self.rows - self.first, self.block_rows)
        parts = [self._blocks[block][place : place + count] for _, block, place, count in pieces]
        return np.concatenate([np.empty(0, self.row), *parts])

    def drop(self, first: int) -> None:
        """Drops the rows before `first` and releases blocks without rows. `settle` deletes their files later."""
        self.first = first
        for number in [number for number in self._blocks if (number + 1) * self.block_rows <= first]:
            del self._blocks[number]
            self._maps.pop(number, None)
            self._hashes.pop(number, None)

    def settle(self) -> None:
        """For taking a state: flushes the rows to the disk and deletes files that the last three states do not need."""
        for mapped in self._maps.values():
            mapped.flush()
        self._firsts.append(self.first)
        if self.folder is not None and len(self._firsts) > STATES_BEHIND:
            needed = self._firsts[0] // self.block_rows
            for path in self.folder.glob("rows-*.bin"):
                if path < _file(self.folder, needed):
                    path.unlink()

    def hashes(self) -> dict[str, str]:
        """Number of a block that is a file -> SHA-256 of its rows so far."""
        return {str(number): hash.hexdigest() for number, hash in sorted(self._hashes.items())}

    def truncate(self, rows: int, first: int = 0, hashes: Mapping[str, str] | None = None) -> None:
        """Drops all rows from `rows` on and before `first`; after a restart, maps the files of the other rows again.

        hashes  result of `hashes` at this number of rows; None for an older state without hashes
        Raises UserError if a file is missing or its rows are not those that were written.
        """
        for number in range(first // self.block_rows, -(-rows // self.block_rows)):
            if number not in self._blocks:
                self._blocks[number] = self._new_block(number, must_exist=self.folder is not None)
            if self.folder is not None:
                self._hashes[number] = hash = self._hash_of_file(number, min(rows - number * self.block_rows, self.block_rows))
                if hashes and hash.hexdigest() != hashes.get(str(number)):
                    raise UserError(
                        f"replay {_file(self.folder, number)} does not hold the rows that the run wrote; restore it from a "
                        "copy, or start the run again in another folder"
                    )
        self.first, self.rows, self._reserved = first, rows, 0

    def _hash_of_file(self, number: int, rows: int) -> Hash:
        """Hash of the first rows of a block, read as a file, because reads through the map would stay in the resident set."""
        assert self.folder is not None
        if number in self._maps:
            self._maps[number].flush()
        found, left = hashlib.sha256(), rows * self.row.itemsize
        with _file(self.folder, number).open("rb") as file:
            while left > 0:
                piece = file.read(min(left, HASHED_AT_ONCE))
                if not piece:
                    break
                found.update(piece)
                left -= len(piece)
        return found

    def restore(self, rows: np.ndarray, first: int = 0) -> None:
        """Restores the result of `everything`."""
        self._blocks, self._maps, self._hashes = {}, {}, {}
        self.first, self.rows = first, first + len(rows)
        for done, block, place, count in self._parts(first, len(rows), self.block_rows):
            self._blocks[block] = self._new_block(block)
            self._blocks[block][place : place + count] = rows[done : done + count]
            if self.folder is not None:
                self._hashes[block] = self._hash_of_file(block, place + count)


def _file(folder: Path, block: int) -> Path:
    return folder / f"rows-{block:06d}.bin"
