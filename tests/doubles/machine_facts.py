"""An honest machine, as a worker and machine.json tell it."""

from bench.data.machine import Blas, Cpu, Gpu, Gpus, Machine
from bench.worker.messages import Software

WORKER = Software(
    contract=1,
    kernels=("numpy_matmul",),
    python="3.12.1",
    numpy="2.4.0",
    blas=(
        {
            "user_api": "blas",
            "internal_api": "openblas",
            "num_threads": 4,
            "prefix": "libscipy_openblas",
            "filepath": "/home/somebody/.venv/numpy.libs/libscipy_openblas64_.so",
            "version": "0.3.30",
            "threading_layer": "pthreads",
            "architecture": "Zen",
        },
    ),
)


HONEST = Machine(
    cpu=Cpu("AMD EPYC 9R14", cores_usable=4, governor="performance", mhz=3700.0),
    memory_bytes=2**34,
    python="3.12.1",
    numpy="2.4.0",
    blas=(Blas("openblas", "0.3.30", "Zen", 4, "pthreads"),),
    threads=4,
    gpus=Gpus("13.0", devices=(Gpu(name="NVIDIA H100", bus="0000:17:00.0", compute="9.0"),)),
    load=0.5,
)
