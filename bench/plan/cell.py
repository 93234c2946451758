"""A cell: one kernel on one case, with all that says how it is run."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Self

from bench import ROOT
from bench.plan.case import Case, Weights


@cache
def called(kernel: str) -> str:
    """A kernel's name in files, tables and charts: of a file elsewhere, the file's; and with its
    folder, where a kernel of another file in kernels/ has that name, so that neither its rows nor
    the speed-ups over it are taken for that one's.
    """
    if not kernel.endswith(".py"):
        return kernel
    path = Path(kernel)
    own = ROOT / "kernels" / path.name
    if not own.is_file() or (path.exists() and own.samefile(path)):
        return path.stem
    return f"{path.stem}@{path.parent.name}"


@dataclass(frozen=True, slots=True)
class Cell:
    """What a visit, or a round of a comparison, measures."""

    kernel: str  # a name in kernels/, or the absolute path of a file
    case: Case
    device: int = 0  # number of the GPU
    threads: int = 1
    cache: str = "warm"
    weights: Weights | None = None  # where the layer's own numbers are; none: drawn

    @property
    def name(self) -> str:
        """The kernel's name, as the files have it."""
        return called(self.kernel)

    @property
    def label(self) -> str:
        """As verdicts call it: kernel, layer and batch."""
        return f"{self.name} {self.case.n_in}x{self.case.n_units} batch {self.case.batch}"

    def recorded(self) -> Self:
        """The cell as a run's files have it: by the kernel's name, and without weights."""
        return replace(self, kernel=self.name, weights=None)
