"""What a kernel is given: copies of the shared arrays, and whether it left them as they were."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.ipc.arrays import Arrays


def differing(mine: Arrays, theirs: Arrays) -> tuple[str, ...]:
    """The names of the arrays that are not the same to the bit."""
    return tuple(
        name
        for name in Arrays.__dataclass_fields__
        if not np.array_equal(_bits(getattr(mine, name)), _bits(getattr(theirs, name)))
    )


def _bits(array: NDArray[Any]) -> NDArray[Any]:
    """The array's bits as whole numbers: 0.0 and -0.0 differ there, and NaN equals itself."""
    return array.view(f"u{array.itemsize}")


def aligned_copy(array: NDArray[Any], offset: int) -> NDArray[Any]:
    """A C-ordered copy whose data begins `offset` cache lines of 64 bytes into a page.

    Where the data lies moves times by several percent, so each visit gets another place.
    """
    page = 4096
    raw = np.empty(array.nbytes + 2 * page, np.uint8)
    start = -raw.ctypes.data % page + 64 * (offset % (page // 64))
    copy = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
