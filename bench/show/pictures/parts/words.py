"""Words for kernels and statuses."""

import re

LONGEST_NAME = 40

_SPOKEN = {
    "python_loop": "the Python loop",
    "numpy_dot": "a dot a unit",
    "numpy_matmul": "one matmul",
    "cupy_matmul": "CuPy's matmul",
    "cupy_fused": "CuPy's fused layer",
    "nvmath_fused": "nvmath's fused layer",
    "numba_loop": "the compiled loop",
    "numba_packed": "packed tiles",
    "numpy_einsum": "one einsum",
    "blas_gemm": "one BLAS call",
    "torch_linear": "PyTorch",
    "jax_dense": "JAX",
    "jax_sharded": "JAX over all devices",
    "dask_matmul": "Dask",
    "mlx_dense": "MLX",
}


def name_of(kernel: str) -> str:
    """A kernel's name, its middle left out where it is too long for a slide."""
    half = LONGEST_NAME // 2
    return kernel if len(kernel) <= LONGEST_NAME else f"{kernel[: half - 1]}…{kernel[-half:]}"


def broken(kernel: str, longest: int = 24) -> str:
    """A kernel's name over several lines, broken at its underscores where it has some."""
    lines = [""]
    for piece in re.findall(rf"[^_]{{1,{longest - 1}}}_*|_+", name_of(kernel)):
        if lines[-1] and len(lines[-1]) + len(piece) > longest:
            lines.append("")
        lines[-1] += piece
    return "\n".join(lines)


def spoken(kernel: object) -> str:
    """A kernel as a title speaks of it."""
    return _SPOKEN.get(str(kernel), name_of(str(kernel)))


def sentence(words: str) -> str:
    """With a capital, unless it begins with a kernel's own name."""
    return words[0].upper() + words[1:] if words.startswith(tuple(_SPOKEN.values())) else words


def at(batch: int) -> str:
    """A batch, as a title's condition."""
    return "one example" if batch == 1 else f"batch {batch}"


def of_status(status: str, unsaid: str) -> str:
    """A status in plain words; `unsaid` where the cell was measured and has no number yet."""
    return unsaid if status in ("ok", "") else status.replace("_", " ")


def all_of(cells: int) -> str:
    """All of a kernel's cells, as a phrase."""
    return {1: "its only cell", 2: "both cells"}.get(cells, f"all {cells} cells")


def from_to(numbers: list[int], one: str, many: str) -> str:
    """[2] -> "2 threads", [1, 2, 8] -> "1 to 8 threads"; nothing of none."""
    if not numbers:
        return ""
    low, high = min(numbers), max(numbers)
    span = f"{low}" if low == high else f"{low} to {high}"
    return f"{span} {one if high == 1 else many}"
