"""What this program needs of Python's packages, and what for: named in one line where one is not
there. `make` brings them all; a Python of one's own may lack some. Imports the standard library
alone.
"""

import sys
from collections.abc import Iterable
from importlib.util import find_spec
from typing import NoReturn

NEEDED = {
    "numpy": ("numpy", "the kernels and all arithmetic"),
    "scipy": ("scipy", "intervals and verdicts"),
    "pandas": ("pandas", "reading runs and drawing charts"),
    "matplotlib": ("matplotlib", "charts"),
    "msgspec": ("msgspec", "sweep files, and what the processes say to each other"),
    "tomli_w": ("tomli-w", "writing a run's sweep.toml"),
    "psutil": ("psutil", "what the machine is and does"),
    "threadpoolctl": ("threadpoolctl", "how many threads the libraries use"),
    "typer": ("typer", "the commands and their options"),
    "rich": ("rich", "tables and progress"),
}
"""Modules that a run can't do without: the package that has each, and what it is for."""

OPTIONAL = {
    "pptx": ("python-pptx", "slides (report --pptx)"),
    "xlsxwriter": ("XlsxWriter", "slides, for their charts' data"),
    "safetensors": ("safetensors", "layers from .safetensors files"),
    "pytest": ("pytest", "make suite and make test"),
    "pytest_benchmark": ("pytest-benchmark", "make suite"),
    "distributed": ("distributed", "one sweep on many machines (bench fleet)"),
    "pynvml": ("nvidia-ml-py", "a GPU's clock, power and energy"),
}
"""The same of those without which one thing fewer can be done."""

KNOWN = NEEDED | OPTIONAL


def lacking(modules: Iterable[str]) -> list[str]:
    """Those of the modules that are not installed."""
    return [name for name in modules if name not in sys.modules and find_spec(name) is None]


def words(module: str) -> str:
    """Like "pandas is not installed: needed for reading runs and drawing charts"."""
    package, purpose = KNOWN[module]
    return f"{package} is not installed: needed for {purpose}"


def remedy(modules: Iterable[str]) -> str:
    """What to type."""
    return " ".join([sys.executable, "-m pip install", *(KNOWN[name][0] for name in modules)])


def line(modules: Iterable[str]) -> str:
    """All of it in one line."""
    modules = list(modules)
    return f"{'; '.join(map(words, modules))}: {remedy(modules)}, or make"


def stop(error: ModuleNotFoundError, command: str) -> NoReturn:
    """End the program, which can't begin without a module: one line for all that it needs; from the
    doctor one for each package, of those that it could do without as well.
    """
    if error.name not in KNOWN:
        raise error
    needed = lacking(NEEDED) or [error.name]
    if command != "doctor":
        sys.stderr.write(f"error: {line(needed)}\n")
        sys.exit(2)
    missing = [*needed, *lacking(OPTIONAL)]
    sys.stdout.write("\n".join([*map(words, missing), remedy(missing), ""]))
    sys.exit(1)
