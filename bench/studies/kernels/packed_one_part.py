"""numba_packed with one part to each sum: in tiles of one row, additions wait for each other."""

import tempfile

import numba

numba.config.CACHE_DIR = f"{tempfile.gettempdir()}/packed_one_part"  # apart from the real one's

from kernels import _numba_tiles, numba_packed  # noqa: E402

_numba_tiles.BUSY = 1
prepare = numba_packed.prepare
