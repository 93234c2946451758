"""numba_packed is exact in vectors of every width: tiles, blocks, and 1 to 8 threads together.

Each width has a process of its own, for a process has one kind of vectors; what it tries is in
doubles/every_blocking.py.
"""

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
from campaign import campaign

import kernels

pytestmark = pytest.mark.skipif(
    find_spec("numba") is None, reason="needs numba: make setup KERNELS=numba_packed"
)

FEATURES = {
    "sse2": "+sse2",
    "avx2": "+avx,+avx2,+fma",
    "f16c": "+avx,+avx2,+fma,+f16c",
}
"""What LLVM may use of an x86-64 CPU; for any other name, all that this one has."""


def ran(
    vectors: str, code: str, folder: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The code in a process with these vectors and with 8 threads of Numba's, on the kernels of
    this checkout or of another folder.
    """
    if vectors in FEATURES:
        environment |= {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": FEATURES[vectors]}
    path = [str(folder)] if folder else []
    return subprocess.run(
        [sys.executable, "-c", code],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([*path, *sys.path]),
            "NUMBA_NUM_THREADS": "8",
            "OMP_WAIT_POLICY": "passive",  # 8 threads on fewer cores wait for each other
            **environment,
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def needs(vectors: str) -> None:
    """Skip the test where this CPU has no such vectors."""
    if vectors == "neon":
        if platform.machine() not in ("aarch64", "arm64"):
            pytest.skip("needs an ARM CPU")
        return
    if platform.machine() != "x86_64":
        pytest.skip("needs an x86-64 CPU")
    flag = {"avx512": "avx512f"}.get(vectors, vectors)
    if flag not in Path("/proc/cpuinfo").read_text(encoding="utf-8").split():
        pytest.skip(f"needs a CPU with {vectors}")


EVERY = ("float32", "float64", "float16", "bfloat16", "int8")


@pytest.mark.parametrize(
    ("vectors", "has", "precisions"),
    [
        ("avx512", "64 12 True", EVERY),
        ("avx2", "32 6 False", ("float32", "float64", "float16")),
        ("neon", "16 12 True", EVERY),
        # seconds of compiling each
        pytest.param("avx2", "32 6 False", EVERY, marks=campaign),
        pytest.param("f16c", "32 6 True", EVERY, marks=campaign),
        pytest.param("sse2", "16 6 False", EVERY, marks=campaign),
    ],
)
def test_blocks_on_1_to_8_threads_are_exact(
    vectors: str, has: str, precisions: tuple[str, ...]
) -> None:
    needs(vectors)
    code = (
        f"import every_blocking as every\nprint(every.vectors())\n[*map(every.check, {precisions})]"
    )
    done = ran(vectors, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == has


def test_a_cpu_that_numba_takes_for_another_has_that_ones_vectors() -> None:
    """With a name alone Numba believes that it has no features."""
    needs("sse2")
    code = "from kernels import _numba_tiles as t; print(t.VECTOR_BYTES, t.ROWS)"
    assert ran("any", code, NUMBA_CPU_NAME="generic").stdout.split() == ["16", "6"]


@dataclass(frozen=True)
class Mistake:
    """In a file of the kernels, `new` instead of `old`."""

    what: str
    file: str
    old: str
    new: str
    precision: str = "float32"


MISTAKES = [
    Mistake(
        "a thread's last column is left out if it shares it",
        "_numba_tiles", "-(-end // tiles)", "end // tiles",
    ),
    Mistake(
        "inputs behind the last whole turn are left out",
        "_numba_tiles", "builder, even, n_in, INT(1)", "builder, even, even, INT(1)",
    ),
    Mistake(
        "places far apart are neighbours",
        "_numba_tiles", "(turns, 1, turns) if apart", "(turns, 1, INT(1)) if apart",
    ),
    Mistake(
        "each block of inputs begins with the bias",
        "_numba_tiles", "before if first else", "before if first < 0 else",
    ),
    Mistake(
        "the floor is for each block of inputs",
        "_numba_tiles", "floor if last else lowest", "floor",
    ),
    Mistake(
        "the last block of inputs is as long as the others",
        "_numba_tiles", "min(blocks[0], n_in - first)", "min(blocks[0], n_in)",
    ),
    Mistake(
        "blocks of inputs of a copy lie as those of A_in",
        "_numba_tiles", "(rows if way == COPIED else 1)", "1",
    ),
    Mistake(
        "blocks of columns leave out their last",
        "_numba_tiles", "min(left + blocks[1], columns)",
        "min(left + max(blocks[1] - 1, 1), columns)",
    ),
    Mistake(
        "sums lie as far apart as the output's rows",
        "_numba_tiles", "(n_units if last else columns * wide) *", "n_units *",
    ),
    Mistake(
        "a vector is stored whole where only a part of it is asked for",
        "_numba_tiles", "self._store(z, self._row(out, INT(r)), v, units)",
        "self._store(z, self._row(out, INT(r)), v)",
    ),
    Mistake(
        "threads leave out their last tile",
        "_numba_compact", "(part + 1) * columns * tiles // parts):",
        "(part + 1) * columns * tiles // parts - min(part, 1)):", "int8",
    ),
    Mistake(
        "threads that copy leave out the last tile",
        "_numba_compact", "_copy(A_in, copy, np.intp(part), threads)",
        "_copy(A_in, copy, np.intp(part), threads + 1)", "int8",
    ),
]  # fmt: skip
"""The first is tried always, the others in a campaign: each is compiled anew."""


@pytest.mark.parametrize(
    "mistake",
    [
        pytest.param(mistake, id=mistake.what, marks=campaign if n else ())
        for n, mistake in enumerate(MISTAKES)
    ],
)
def test_a_mistake_is_seen(mistake: Mistake, tmp_path: Path) -> None:
    needs("avx2")  # compiles faster than avx512
    ignored = shutil.ignore_patterns("__pycache__")
    folder = Path(
        shutil.copytree(Path(kernels.__file__).parent, tmp_path / "kernels", ignore=ignored)
    )
    file = folder / f"{mistake.file}.py"
    source = file.read_text(encoding="utf-8")
    assert source.count(mistake.old) == 1
    file.write_text(source.replace(mistake.old, mistake.new), encoding="utf-8")
    code = f"import every_blocking as every\nevery.check({mistake.precision!r}, threads=(3,))"
    done = ran("avx2", code, tmp_path, NUMBA_CACHE_DIR="")
    assert done.returncode == 1, done.stderr
    assert "AssertionError" in done.stderr
