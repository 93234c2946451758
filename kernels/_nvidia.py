"""What an NVIDIA GPU could do: operations a clock cycle and multiprocessor, by compute capability.

Sources, all NVIDIA's:
- float64 and float32 outside tensor cores: CUDA C++ Programming Guide, "Arithmetic Instructions",
  results a cycle and multiprocessor of fused multiply-adds, twice that in operations;
- tensor cores (dense, float32 sums), from each white paper's figure over its multiprocessors and
  boost clock: V100 (7.0) 125 TFLOP/s at 80 x 1.53 GHz; T4 (7.5) 65 at 40 x 1.59; A100 (8.0) 312 in
  float16 and bfloat16, 156 in tf32, 19.5 in float64 at 108 x 1.41; RTX A6000 (8.6) 154.8 and 77.4
  at 84 x 1.80; RTX 6000 Ada (8.9) 364 and 182 at 142 x 2.505; H100 SXM (9.0) 989 and 495 at
  132 x 1.83, and 67 in float64 at 1.98; B200 (10.0) 2250 and 1125 at 148 x 1.86; RTX PRO 6000
  (12.0) 504 and 252 at 188 x 2.62.

GeForce cards sum products of float16, bfloat16 and tf32 in float32 at half that rate from 7.5 on:
RTX 3090 71 and 35.6 TFLOP/s at 82 x 1.70 GHz, RTX 4090 165 and 82.6 at 128 x 2.52 (the white papers
on GA102 and AD102, their tables of GeForce cards).

A rate at the highest clock is more than a card keeps up: H100's tensor figures are stated at
1.83 GHz and the card's highest clock is 1.98. So this is a ceiling, and a measured one stands
beside it (bench.machine.peak_rates).
"""

from collections.abc import Mapping
from typing import Any

from kernels import Rates

FLOPS_PER_CYCLE: dict[tuple[int, int], dict[str, int]] = {
    (6, 0): {"float64": 64, "float32": 128},
    (6, 1): {"float64": 8, "float32": 256},
    (7, 0): {"float64": 64, "float32": 128, "float16": 1024},
    (7, 5): {"float64": 4, "float32": 128, "float16": 1024},
    (8, 0): {"float64": 128, "float32": 128, "tf32": 1024, "float16": 2048, "bfloat16": 2048},
    (8, 6): {"float64": 4, "float32": 256, "tf32": 512, "float16": 1024, "bfloat16": 1024},
    (8, 9): {"float64": 4, "float32": 256, "tf32": 512, "float16": 1024, "bfloat16": 1024},
    (9, 0): {"float64": 256, "float32": 256, "tf32": 2048, "float16": 4096, "bfloat16": 4096},
    (10, 0): {"float64": 128, "float32": 256, "tf32": 4096, "float16": 8192, "bfloat16": 8192},
    (12, 0): {"float64": 4, "float32": 256, "tf32": 512, "float16": 1024, "bfloat16": 1024},
}
"""Operations a clock cycle of one multiprocessor, by compute capability and precision; what is not
here is unknown."""

TENSOR = ("tf32", "float16", "bfloat16")


def stated(properties: Mapping[str, Any], precision: str) -> Rates:
    """From CUDA's device properties, as CuPy names them; clocks are in kHz, the bus in bits.

    Memory moves two bits a line and clock cycle.
    """
    name = properties["name"].decode()
    capability = (properties["major"], properties["minor"])
    per_cycle = FLOPS_PER_CYCLE.get(capability, {}).get(precision, 0)
    if "GeForce" in name and precision in TENSOR and capability >= (7, 5):
        per_cycle //= 2
    clock = 1e3 * properties.get("clockRate", 0)
    memory_clock = 1e3 * properties.get("memoryClockRate", 0)
    flop_per_s = per_cycle * properties["multiProcessorCount"] * clock
    bytes_per_s = 2 * memory_clock * properties.get("memoryBusWidth", 0) / 8
    return Rates(flop_per_s or None, bytes_per_s or None)
