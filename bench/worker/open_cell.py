"""A cell being visited: its step, what it was given, and what its output should be."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.plan.case import Case
from bench.worker import check, inputs

if TYPE_CHECKING:
    from kernels import Layer, Step


@dataclass(slots=True)
class OpenCell:
    """One kernel on one case, ready to launch."""

    kernel: str
    case: Case
    cache: str
    step: "Step"
    prepare: "Callable[[Layer, int], Step]"  # the kernel for another layer, on the same device
    drawn: inputs.Arrays  # the harness's own
    given: inputs.Arrays  # the kernel's copies, A_in to be sent
    parts: list[inputs.Part]  # what the output should be
    opened_preempted: int
    opened_cpu_s: float = 0.0
    x: Any = None  # the input where `send` put it
    out: Any = None  # the last output, where it was computed
    lead: bool = False  # see timing.LEAD_S
    loops: int = 1
    launch_s: float = 0.0

    @property
    def identity(self) -> tuple[str, Case]:
        """Which cell this is, from visit to visit."""
        return self.kernel, self.case

    def check(self, output: Any, factor: float = 1.0) -> float:
        """The RMS error of an output for `factor` times the input. Raises check.Wrong."""
        parts = self.parts if factor == 1 else [part.scaled(factor) for part in self.parts]
        return check.check(output, self.case, self.drawn.W.dtype.type, parts)
