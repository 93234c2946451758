"""numba_packed with A_in read where it lies, even where its rows meet in a set of the cache."""

from kernels import _tuning, numba_packed

_tuning.here = lambda: _tuning.Parameters(copied=2**62)
prepare = numba_packed.prepare
