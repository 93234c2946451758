"""Does a kernel compute what it is given? What one right answer can't show.

A visit launches on one input again and again, so a kernel that remembers its answer, or returns an
old buffer, would be right and fast. What gives it away: another input, and how long that takes.
Each of these raises check.Wrong, and leaves the input as it was.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench import inputs, timing
from bench.check import Wrong, check
from bench.sweep import Case

if TYPE_CHECKING:
    from kernels import Step

FACTOR = -16.0
"""Another input is the first one times this. A power of two is exact in every precision, so what
the answer should be follows without another product (`Part.scaled`). And it lifts the errors of
the sums above those of the result, which a flat activation hides: where float16 is asked, bfloat16
gives a sigmoid with an RMS error of 1.3 without it and over 8 with it; 4 is refused, 0.5 honest.
"""


def leaves_inputs_alone(drawn: inputs.Arrays, given: inputs.Arrays) -> None:
    """`given`, the kernel's own copies, must still be what was drawn."""
    if changed := inputs.differing(drawn, given):
        raise Wrong(f"it wrote into {' and '.join(changed)}, which it may only read")


def follows_its_input(
    step: "Step",
    x: Any,
    A_in: NDArray[Any],
    case: Case,
    dtype: type[np.floating[Any]],
    parts: list[inputs.Part],
) -> tuple[float, float]:
    """The answer to another input must be right too -> its RMS error, seconds of that launch.

    Where the kernel works on A_in itself, the same buffer gets other contents: a kernel that knows
    an input by its address is found out.
    """
    if isinstance(x, np.ndarray) and np.may_share_memory(x, A_in):
        first = A_in.copy()
        np.multiply(A_in, FACTOR, out=A_in)
        try:
            seconds, output = _answer(step, x)
        finally:
            A_in[...] = first
    else:
        seconds, output = _answer(step, step.send(A_in * FACTOR))
    try:
        error = check(output, case, dtype, [part.scaled(FACTOR) for part in parts])
    except Wrong as wrong:
        if _right(output, case, dtype, parts):
            raise Wrong("it answered another input as it had answered the first") from wrong
        raise Wrong(f"for another input, {wrong}") from wrong
    return error, seconds


def _answer(step: "Step", x: Any) -> tuple[float, NDArray[Any]]:
    (seconds,), out = timing.blocks(step, x, 1, 1, lead=False)
    step.device.fence(out)
    return seconds, step.fetch(out)


def _right(
    output: NDArray[Any], case: Case, dtype: type[np.floating[Any]], parts: list[inputs.Part]
) -> bool:
    try:
        check(output, case, dtype, parts)
    except Wrong:
        return False
    return True


def remembers_nothing(step: "Step", x: Any, A_in: NDArray[Any]) -> None:
    """An input that it has seen must take about as long as one that it has not."""
    if (times := timing.recall(step, x, A_in)) > 1:
        raise Wrong(
            f"it answers an input that it has seen {times:.3g} times faster than a new one:"
            " it remembers answers"
        )
