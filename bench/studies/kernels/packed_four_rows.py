"""numba_packed with tiles of four rows: each vector of W is used four times, not twelve."""

import tempfile

import numba

numba.config.CACHE_DIR = f"{tempfile.gettempdir()}/packed_four_rows"  # apart from the real one's

from kernels import _numba_tiles, numba_packed  # noqa: E402

_numba_tiles.ROWS = 4
prepare = numba_packed.prepare
