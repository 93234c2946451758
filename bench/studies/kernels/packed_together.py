"""numba_packed on all threads, whatever the layer."""

from kernels import numba_packed

numba_packed.SHARED = 0
prepare = numba_packed.prepare
