"""numba_packed with tiles for layers of a few units, too, which it leaves to BLAS."""

from kernels import numba_packed

numba_packed.NARROW = 0
prepare = numba_packed.prepare
