"""Files of arrays with names: what each holds by its header, and its numbers, a block at a time.

    model.npz                       arrays by name, as numpy.savez writes them
    model.safetensors               the same, as PyTorch's models are passed on
    model.safetensors.index.json    which of several such files has which array

None of them runs code when it is read: an .npz file may hold pickled objects, which could, and
those are refused. Numbers stay where they are on disk (memory maps) wherever they lie there as they
are; only compressed ones are unpacked.
"""

import json
import math
import re
import struct
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import psutil
from numpy.typing import NDArray

from bench.terminal.errors import BadInput
from bench.terminal.text import plain

PICKLES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt")

INDEX = ".safetensors.index.json"

BLOCK = 2**22
"""Numbers that are looked at, or converted, at a time."""

BOMB, BOMB_BYTES = 500, 2**26
"""A compressed array that unpacks to so many times its size, and to so many bytes, holds nothing
that was ever learned."""

Array = NDArray[Any]

KINDS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""Types of safetensors."""

POINTERS = {
    b"version https://git-lfs": "is a Git LFS pointer and not the file itself: git lfs pull",
    b"/annex/objects/": "is a git-annex pointer and not the file itself: git annex get",
    b"<!doctype html": "is an HTML page and not the file itself: download it again",
    b"<html": "is an HTML page and not the file itself: download it again",
}
"""How files begin that stand in for others."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An array in a file, of which only the header has been read."""

    where: str  # FILE:NAME
    kind: str  # NumPy's name of its type, or bfloat16
    shape: tuple[int, ...]
    raw: Callable[[], Array]  # its numbers; those of bfloat16 as 16-bit whole numbers

    def blocks(self) -> Iterator[Array]:
        """All numbers in C order, some rows at a time, bfloat16 as float32. Raises BadInput."""
        try:
            raw = self.raw()
            rows = max(BLOCK // max(math.prod(self.shape[1:]), 1), 1)
            for start in range(0, self.shape[0], rows):
                block = np.ascontiguousarray(raw[start : start + rows])
                if self.kind == "bfloat16":  # the upper halves of float32 numbers
                    block = (block.astype(np.uint32) << np.uint32(16)).view(np.float32)
                yield block
        except MemoryError as error:
            size = math.prod(self.shape) * 8
            raise BadInput(f"{self.where} needs about {_size(size)}: out of memory") from error


class File(Protocol):
    """A file of arrays with names."""

    @property
    def names(self) -> Sequence[str]: ...

    def tensor(self, name: str) -> Tensor: ...


def open_file(path: Path) -> File:
    """The file's arrays, by their headers. Raises BadInput, naming the file and the remedy."""
    kind = _kind(path)
    try:
        with path.open("rb") as file:
            head = file.read(200)
    except OSError as error:
        raise BadInput(f"{path} can't be read: {reason(error)}") from error
    for start, words in POINTERS.items():
        if start in head[:60].lower():
            raise BadInput(f"{path} {words}")
    return kind(path)


def _kind(path: Path) -> "Callable[[Path], File]":
    suffix = path.suffix.lower()
    if path.name.lower().endswith(INDEX):
        return _Shards
    if suffix == ".npz":
        return _Npz
    if suffix == ".safetensors":
        return _Safetensors
    if suffix in PICKLES:
        said = "is a pickle by its name, which can run code when it is read"
        raise BadInput(f"{path} {said}: save it with safetensors, where you trust it")
    said = "should be an .npz or a .safetensors file"
    raise BadInput(f"{path} {said}: numpy.savez makes one of arrays W and b")


_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
    (3, 0): np.lib.format.read_array_header_2_0,  # as the second, its fields' names in UTF-8
}


class _Npz:
    """What numpy.savez wrote: a ZIP archive of arrays."""

    def __init__(self, path: Path) -> None:
        self._path = path
        if not zipfile.is_zipfile(path):
            raise BadInput(f"{path} is no .npz file, or is cut short: numpy.savez writes one")
        try:
            self._archive = zipfile.ZipFile(path)  # a directory of thousands is read once
            self._members = {
                info.filename.removesuffix(".npy"): info for info in self._archive.infolist()
            }
        except Exception as error:  # of as many kinds as there are ways to break a ZIP file
            raise BadInput(f"{path} can't be read: {reason(error)}") from error
        self.names: Sequence[str] = list(self._members)

    def tensor(self, name: str) -> Tensor:
        where = f"{self._path}:{name}"
        info = self._members[name]
        if not info.filename.endswith(".npy"):
            raise BadInput(f"{where} is no array")
        try:
            with self._archive.open(info) as member:
                version = np.lib.format.read_magic(member)
                shape, columns_first, dtype = _HEADERS[version](member)
                begin = member.tell()
        except KeyError as error:
            raise BadInput(f"{where} is of an unknown version of NumPy's format") from error
        except Exception as error:  # likewise
            raise BadInput(f"{where} can't be read: {reason(error)}") from error
        if dtype.hasobject:
            said = "holds pickled objects, which can run code when they are read"
            raise BadInput(f"{where} {said}: save plain arrays")
        size = math.prod(shape) * dtype.itemsize
        if size > info.file_size - begin:
            raise BadInput(f"{where} can't be read: it is cut short, {_size(size)} are promised")
        if info.compress_type != zipfile.ZIP_STORED:
            self._refuse_bomb(where, size, info.compress_size)
        kind = str(dtype) if dtype.kind == "f" else dtype.name
        if dtype.kind == "V" and dtype.names is None and dtype.itemsize == 2:
            kind, dtype = "bfloat16", np.dtype("<u2")  # ml_dtypes' type is lost in such a file
        raw = partial(
            self._raw, name, dtype, tuple(shape), "F" if columns_first else "C", begin, where
        )
        return Tensor(where, kind, tuple(shape), raw)

    def _refuse_bomb(self, where: str, size: int, packed: int) -> None:
        """Raise BadInput for an array that there is no room to unpack, or nothing in."""
        if size > BOMB_BYTES and size > BOMB * packed:
            said = f"{_size(packed)} that unpack to {_size(size)}: no layer's numbers"
            raise BadInput(f"{where} is {said}")
        if size > (free := psutil.virtual_memory().available) / 2:
            said = f"unpacks to {_size(size)}, and {_size(free)} of memory are free"
            raise BadInput(f"{where} {said}: save it with numpy.savez, which leaves it as it is")

    def _raw(
        self, name: str, dtype: np.dtype[Any], shape: Any, order: Any, begin: int, where: str
    ) -> Array:
        info = self._members[name]
        try:
            with self._archive.open(info) as member:
                if info.compress_type != zipfile.ZIP_STORED:
                    member.read(begin)
                    held = np.frombuffer(member.read(), dtype, math.prod(shape))
                    return held.reshape(shape, order=order)
                while member.read(2**20):  # to its end, where its checksum is compared
                    pass
            with self._path.open("rb") as file:
                file.seek(info.header_offset + 26)
                begin += info.header_offset + 30 + sum(struct.unpack("<HH", file.read(4)))
            return np.memmap(self._path, dtype, "r", begin, shape, order)
        except MemoryError:
            raise
        except Exception as error:  # likewise
            raise BadInput(f"{where} can't be read: {reason(error)}") from error


class _Safetensors:
    """What the safetensors library wrote: a header in JSON, and the arrays' bytes."""

    def __init__(self, path: Path) -> None:
        import safetensors

        self._path = path
        try:
            # it checks the header; https://github.com/huggingface/safetensors, "Format": 8 bytes
            # of length, JSON, then all tensors' bytes, little-endian
            with safetensors.safe_open(str(path), framework="np") as checked:
                self.names: Sequence[str] = sorted(checked.keys())
            with path.open("rb") as file:
                (length,) = struct.unpack("<Q", file.read(8))
                self._tensors = json.loads(file.read(length))
        except (safetensors.SafetensorError, ValueError, struct.error) as error:
            said = f"is no safetensors file, or is cut short: {reason(error)}"
            raise BadInput(f"{path} {said}") from error
        except OSError as error:
            raise BadInput(f"{path} can't be read: {reason(error)}") from error
        self._begin = 8 + length

    def tensor(self, name: str) -> Tensor:
        tensor = self._tensors[name]
        where, kind, shape = f"{self._path}:{name}", tensor["dtype"], tuple(tensor["shape"])
        if kind not in KINDS:
            raise BadInput(f"{where} is {kind}, must be F64, F32, F16 or BF16")
        dtype = np.dtype("<u2" if kind == "BF16" else KINDS[kind])
        begin = self._begin + tensor["data_offsets"][0]

        def raw() -> Array:
            try:
                return np.memmap(self._path, dtype, "r", begin, shape)
            except (OSError, ValueError) as error:
                raise BadInput(f"{where} can't be read: {reason(error)}") from error

        return Tensor(where, KINDS[kind], shape, raw)


class _Shards:
    """An index: which file beside it has which array."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._files = dict(json.loads(path.read_bytes())["weight_map"])
        except OSError as error:
            raise BadInput(f"{path} can't be read: {reason(error)}") from error
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            said = 'is no index of shards: {"weight_map": {NAME: FILE}} is expected'
            raise BadInput(f"{path} {said}") from error
        self.names: Sequence[str] = sorted(map(str, self._files))

    def tensor(self, name: str) -> Tensor:
        shard = self._files[name]
        if not isinstance(shard, str) or Path(shard).name != shard:
            raise BadInput(f"{self._path}: {name} is said to be in {shard!r}: no file beside it")
        file = open_file(self._path.with_name(shard))
        if name not in file.names:
            raise BadInput(f"{self._path}: {shard} is said to have {name}, and hasn't")
        return file.tensor(name)


def stem(path: Path) -> str:
    """The file's name, without what says its kind or which shard it is."""
    name = path.name[: -len(INDEX)] if path.name.lower().endswith(INDEX) else path.stem
    return name or path.name


def is_shard(path: Path) -> bool:
    """Whether the file is one of several by its name."""
    return re.search(r"-\d+-of-\d+$", path.stem) is not None


def reason(error: BaseException) -> str:
    """What a library said, short and on one line."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    said = plain(" ".join(str(error).split())) or type(error).__name__
    return said if len(said) <= 150 else f"{said[:150]}…"


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.2g} MB"
