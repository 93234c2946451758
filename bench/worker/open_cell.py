"""A cell being visited: its step, what it was given, and what it has handed over."""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.ipc import outputs
from bench.ipc.arrays import Arrays, Shared
from bench.ipc.outputs import Label
from bench.plan.case import Case

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
    shared: Shared  # the judge's arrays, which can't be written to
    given: Arrays  # the kernel's copies, A_in to be sent
    file: int  # for its outputs, this cell's own descriptor
    preempted: int  # when it was opened; then meanwhile
    examined: bool = False  # in an earlier worker, see cheat_checks
    cpu_s: float = 0.0  # as preempted
    x: Any = None  # the input where `send` put it
    out: Any = None  # the last output, where it was computed
    lead: bool = False  # see timing.LEAD_S
    loops: int = 1
    launch_s: float = 0.0
    handed: list[Label] = field(default_factory=list)
    through: bool = False  # all outputs are handed over

    @property
    def identity(self) -> tuple[str, Case]:
        """Which cell this is, from visit to visit."""
        return self.kernel, self.case

    def hand_over(self, label: Label, output: Any) -> None:
        """Put an output where the judge finds it. Raises outputs.Wrong for one that is no array of
        the right shape.
        """
        dtype = self.given.W.dtype.type
        outputs.refuse_unfit(output, (self.case.batch, self.case.n_units), dtype)
        outputs.write(self.file, label, output)
        self.handed.append(label)

    def close(self) -> None:
        """Let go of the step, its device's memory and the file."""
        with contextlib.suppress(OSError):  # closed by the kernel
            os.close(self.file)
        self.step.close()
        self.step.device.release()
