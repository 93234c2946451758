"""From a kernel's name or path to its `prepare`: finding, importing and hashing its file."""

import ast
import hashlib
import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import kernels

FOLDER = Path(__file__).parent

INSTALL = ".venv/bin/python -m pip install"
"""How a library comes into the environment that no lock file of this project names."""

LONGEST_NAME = 200
"""No file's name in a kernel's text is longer."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel file, loaded."""

    name: str
    hash: str  # of all that its times depend on here, 12 hex digits: see `_digest`
    summary: str  # the first line of its docstring
    prepare: "Callable[..., kernels.Step]"
    path: Path | None = None

    @property
    def changed(self) -> bool:
        """Whether its files are no longer those that were loaded."""
        try:
            return self.path is not None and _digest(self.path) != self.hash
        except (OSError, SyntaxError, ValueError):
            return True


def names() -> tuple[str, ...]:
    """The kernels in this folder, by file name, in alphabetical order. Helpers (`_*.py`) are none,
    and neither are hidden files, such as an editor's lock on a file or macOS's notes on it.
    """
    return tuple(sorted(p.stem for p in FOLDER.glob("*.py") if not p.stem.startswith(("_", "."))))


def load(name_or_path: str) -> Kernel:
    """Import one kernel, by its name in this folder or by the path of a `.py` file from anywhere.

    Raises LookupError for a name or path that isn't there; ImportError, naming the file and what is
    wrong, where it can't be imported or defines no `prepare`.
    """
    if name_or_path.endswith(".py"):
        path = Path(name_or_path)
        module_name = f"kernel file {path}"  # no name that an import could mean
    else:
        path = FOLDER / f"{name_or_path}.py"
        module_name = f"kernels.{name_or_path}"
    try:
        there = path.is_file()
    except OSError as error:
        raise ImportError(f"{path} can't be read: {error.strerror}") from error
    if not there or path.stem.startswith(("_", ".")):
        raise LookupError(f"no kernel {name_or_path!r}; known: {', '.join(names())}, or a .py file")
    try:
        before = _digest(path)
    except (SyntaxError, ValueError):
        before = ""  # importing it says what is wrong
    module = _import(module_name, path)
    if before != (digest := _digest(path)):
        raise ImportError(f"{path} changed while it was imported: try again")
    prepare = getattr(module, "prepare", None)
    if not callable(prepare):
        raise ImportError(f"{path}: defines no function prepare(layer, batch, device=0)")  # noqa: TRY004
    doc = (module.__doc__ or "").strip()
    return Kernel(path.stem, digest, doc.partition("\n")[0], prepare, path)


def library(name: str, kernel: str) -> ModuleType:
    """A kernel's own library, imported when the kernel is prepared.

    `kernel` is the name of the file, which begins with the library's. Raises Unavailable: with the
    command that installs it, or with why it can't be imported.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise kernels.Unavailable(f"{name} can't be imported: {error}") from error
        # what `make` goes by
        ours = kernel.startswith(name) and (FOLDER.parent / "locks" / f"{name}.txt").exists()
        remedy = f"make setup KERNELS={kernel}" if ours else f"{INSTALL} {name.partition('.')[0]}"
        raise kernels.Unavailable(f"{name} is not installed: {remedy}") from None
    except (ImportError, OSError) as error:  # a shared library that is missing is either
        raise kernels.Unavailable(f"{name} can't be imported: {error}") from error


def _digest(path: Path) -> str:
    """A hash of the kernel's file and of all files here that its times may depend on.

    A run can't be resumed with a kernel of another hash, because old times and new ones must not be
    mixed. So the hash covers the kernel's own file; the contract (`__init__.py`) with what that
    imports, the activations and the CPU's clock; and what any of these files imports from this
    folder. It leaves out this file, whose work is done before anything is timed, and the helpers of
    other kernels: a better reading of NVML is no reason to measure a NumPy kernel anew.

    A kernel from elsewhere may find a way to import what lies beside it, and any may read a file
    from there: those count whose names stand in its text.
    """
    contract = FOLDER / "__init__.py"
    others = sorted(set(FOLDER.glob("*.py")) - {path, contract, FOLDER / "_load.py"})
    content = [path.read_bytes(), contract.read_bytes()]
    for text in content:  # it grows on the way: what is imported may import more
        imported = _imports(text)
        content += [file.read_bytes() for file in others if f"kernels.{file.stem}" in imported]
        others = [file for file in others if f"kernels.{file.stem}" not in imported]
    content += [file.read_bytes() for file in _beside(path)]
    return hashlib.sha256(b"".join(content)).hexdigest()[:12]


def _beside(path: Path) -> list[Path]:
    """The files beside a kernel that it names, and those that these name, in alphabetical order."""
    named: set[Path] = set()
    new = {path}
    while new:
        texts = [file.read_bytes() for file in new if file.suffix == ".py"]
        files = {file for text in texts for file in _named(text, path.parent)}
        new = files - named - {path}
        named |= new
    return sorted(named)


def _named(text: bytes, folder: Path) -> set[Path]:
    """The files in a folder that Python's text names, as a module or in full."""
    files = set()
    for name in _imports(text):
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            continue
        candidates = [Path(name)]
        if folder != FOLDER:
            module = Path(*name.strip(".").split("."))
            candidates += [Path(f"{module}.py"), module / "__init__.py"]
        for candidate in candidates:
            file = folder / candidate
            if file.is_file() and file.is_relative_to(folder):
                files.add(file)
    return {file for file in files if folder != FOLDER or file.suffix != ".py"}


@cache
def _imports(text: bytes) -> frozenset[str]:
    """The modules that a file may import, with names that are none among them."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.ImportFrom(module="kernels"):
                modules |= {f"kernels.{alias.name}" for alias in node.names}
            # a constant: the name may be handed to import_module
            case ast.ImportFrom(module=str(name)) | ast.alias(name=name) | ast.Constant(str(name)):
                modules.add(name)
    return frozenset(modules)


class _FromSource(importlib.machinery.SourceFileLoader):
    """Compiles what stands in the file now: bytecode is kept by the second of its last change."""

    def path_stats(self, path: str) -> NoReturn:  # without them there is no bytecode
        raise OSError


def _import(name: str, path: Path) -> ModuleType:
    loader = _FromSource(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path}: can't be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as import does: a dataclass looks its own module up
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise ImportError(f"{path}, line {error.lineno}: {error.msg}") from error
    except Exception as error:
        message = f"{path}: {type(error).__name__}: {error}"
        beside = path.with_name(f"{getattr(error, 'name', None)}.py")
        if isinstance(error, ModuleNotFoundError) and beside.is_file():
            message += f"; a kernel is one file: put what it needs of {beside.name} into it"
        elif isinstance(error, ModuleNotFoundError):
            message += f" ({INSTALL} {error.name}, if that is its name there)"
        raise ImportError(message) from error
    return module
