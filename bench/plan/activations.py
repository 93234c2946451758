"""The activations that a sweep may ask for, with the reference of each: one table for all.

It is the table in `kernels/_activations.py` of this checkout, read as a file and not imported.
Importing `kernels` would import NumPy before the command line is read; and in a comparison of two
commits `kernels` is one side's package, whose answers are checked here and which has no say in what
is right.
"""

import runpy
from typing import TYPE_CHECKING

from bench import ROOT

if TYPE_CHECKING:
    from kernels._activations import Activation

ACTIVATIONS: "dict[str, Activation]" = runpy.run_path(
    str(ROOT / "kernels" / "_activations.py"),
)["ACTIVATIONS"]
