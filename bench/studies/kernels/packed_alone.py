"""numba_packed on one thread, whatever the layer."""

import math

from kernels import numba_packed

numba_packed.SHARED = math.inf
prepare = numba_packed.prepare
