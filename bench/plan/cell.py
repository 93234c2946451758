"""A cell: one kernel on one case, with all that says how it is run."""

from dataclasses import dataclass, replace
from typing import Self

from bench.plan.case import Case, Weights


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
        return self.kernel.rsplit("/", 1)[-1].removesuffix(".py")

    @property
    def label(self) -> str:
        """As verdicts call it: kernel, layer and batch."""
        return f"{self.name} {self.case.n_in}x{self.case.n_units} batch {self.case.batch}"

    def recorded(self) -> Self:
        """The cell as a run's files have it: by the kernel's name, and without weights."""
        return replace(self, kernel=self.name, weights=None)
