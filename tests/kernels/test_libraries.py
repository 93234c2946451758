"""The kernels' own libraries: how many threads they use, what is said where one isn't there."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kernels
from bench.worker import environment
from bench.worker.limits import usable_cores
from kernels import Layer, Unavailable

ASK = {
    "scipy": (
        "import scipy.linalg.blas, threadpoolctl\n"
        "found = threadpoolctl.threadpool_info()\n"
        "assert len(found) > 1, 'NumPy and SciPy have a BLAS each'\n"
        "print(*{one['num_threads'] for one in found})"
    ),
    "numba": "import numba; print(numba.get_num_threads())",
    "torch": "import torch; print(torch.get_num_threads())",
    # XLA doesn't tell: its threads have a name
    "jax": (
        "import jax, pathlib; jax.config.update('jax_platforms', 'cpu')\n"
        "(jax.numpy.ones((64, 64)) @ jax.numpy.ones((64, 64))).block_until_ready()\n"
        "names = [p.read_text() for p in pathlib.Path('/proc/self/task').glob('*/comm')]\n"
        "print(sum(name.startswith('tf_XLAEigen') for name in names))"
    ),
}
"""What each library says of its threads, in a process of its own."""


@pytest.mark.parametrize("name", ASK)
@pytest.mark.parametrize("threads", [1, 3])
def test_every_library_has_the_threads_that_a_worker_is_given(name: str, threads: int) -> None:
    if find_spec(name) is None:
        pytest.skip(f"needs {name}: make setup KERNELS=all")
    if name == "jax" and not Path("/proc/self/task").exists():
        pytest.skip("needs Linux: XLA's threads are counted in /proc")
    variables = environment.environment(threads)
    if name in ("scipy", "torch"):
        # OpenBLAS and MKL take no more threads than there are cores
        threads = min(threads, usable_cores())
    done = subprocess.run(
        [sys.executable, "-c", ASK[name]],
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(threads)]


BOTH_LOOPS = """
import pathlib
import numpy as np
import kernels

def busy():
    texts = [p.read_text() for p in pathlib.Path("/proc/self/task").glob("*/schedstat")]
    return [int(text.split()[0]) for text in texts]

def threads(batch):
    W = np.ones((300, 300), "float32")
    step = kernels.load("numba_loop").prepare(kernels.Layer(W, W[:1].copy()), batch)
    A_in = np.ones((batch, 300), "float32")
    step.launch(A_in)
    before = busy()
    for _ in range(20 if batch > 1 else 1000):
        step.launch(A_in)
    after = busy()
    used = [b - a for a, b in zip(before, after, strict=True)]
    return sum(ns > sum(used) / 10 for ns in used)

print(threads(1), threads(100))
"""


@pytest.mark.skipif(find_spec("numba") is None, reason="needs numba: make setup KERNELS=all")
@pytest.mark.skipif(
    not Path("/proc/self/schedstat").exists(), reason="needs Linux's CPU time of each thread"
)
def test_a_cached_loop_of_one_thread_is_not_taken_for_that_of_all(tmp_path: Path) -> None:
    # Numba's cache doesn't look at `parallel`, so the second loop could be the first one again
    done = subprocess.run(
        [sys.executable, "-c", BOTH_LOOPS],
        env={**environment.environment(2), "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["1", "2"]


@pytest.mark.parametrize(
    ("name", "kernel", "command"),
    [
        ("numba", "numba_loop", "make setup KERNELS=numba_loop"),
        ("numba", "numba_mine", "make setup KERNELS=numba_mine"),
        ("numba", "mine", ".venv/bin/python -m pip install numba"),
        ("mylib", "mylib_dense", ".venv/bin/python -m pip install mylib"),
        ("mylib.linear", "mylib_dense", ".venv/bin/python -m pip install mylib"),
    ],
)
def test_one_that_is_not_there_is_named_with_the_command_that_installs_it(
    name: str, kernel: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr("importlib.import_module", absent)
    with pytest.raises(Unavailable) as caught:
        kernels.library(name, kernel)
    assert str(caught.value) == f"{name} is not installed: {command}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import no_such_module", "No module named 'no_such_module'"),
        ("raise ImportError('libz.so: no such file')", "libz.so: no such file"),
        ("raise OSError('libx.so: bad magic')", "libx.so: bad magic"),
    ],
)
def test_one_that_can_not_be_imported_says_why(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_library.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Unavailable) as caught:
        kernels.library("broken_library", "numba_loop")
    assert str(caught.value) == f"broken_library can't be imported: {said}"


@pytest.mark.parametrize(
    "name", ["numba_loop", "torch_linear", "jax_dense", "jax_sharded", "mlx_dense", "dask_matmul"]
)
def test_a_kernel_without_its_library_is_unavailable_and_no_error(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = name.partition("_")[0]
    monkeypatch.setitem(sys.modules, own, None)  # Python's way to say that it isn't there
    kernel = kernels.load(name)
    one = np.ones((1, 1), np.float32)
    with pytest.raises(Unavailable) as caught:
        kernel.prepare(Layer(one, one), 1)
    assert str(caught.value) == f"{own} is not installed: make setup KERNELS={name}"


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_blas_computes_where_it_is_told_and_copies_nothing(
    batch: int, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import scipy.linalg.blas

    seen: list[Any] = []

    def watched(routine: Any, output: str) -> Any:
        def call(alpha: float, a: Any, x: Any, **rest: Any) -> Any:
            # f2py copies what is not in Fortran's order, and what is of another type
            assert all(array.flags.f_contiguous for array in (a, x, rest[output]))
            assert {array.dtype for array in (a, x, rest[output])} == {np.dtype(precision)}
            result = routine(alpha, a, x, **rest)
            seen.append(np.shares_memory(result, rest[output]))
            return result

        return call

    letter = {"float32": "s", "float64": "d"}[precision]
    for routine, result in ((f"{letter}gemm", "c"), (f"{letter}gemv", "y")):
        original = getattr(scipy.linalg.blas, routine)
        monkeypatch.setattr(scipy.linalg.blas, routine, watched(original, result))
    W, b = np.ones((3, 5), precision), np.ones((1, 5), precision)
    A_in = np.ones((batch, 3), precision)
    step = kernels.load("blas_gemm").prepare(Layer(W, b, precision=precision), batch)
    x = step.send(A_in)
    assert np.shares_memory(x, A_in)
    out = step.launch(x)
    np.testing.assert_array_equal(out, np.full((batch, 5), 4))
    assert seen == [True]
    assert step.launch(x) is out
