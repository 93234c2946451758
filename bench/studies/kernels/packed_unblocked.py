"""numba_packed without blocks: all inputs at once, and one column of W after the other."""

from kernels import _blocking, numba_packed

_blocking.chosen = lambda _batch, n_in, *_: _blocking.whole(n_in)
prepare = numba_packed.prepare
