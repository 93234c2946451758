"""The activations that a sweep may ask for, with the reference of each: one table for all.

It is the table in `kernels/_activations.py` of this checkout, read as a file and not imported.
Importing `kernels` would import NumPy before the command line is read; and in a comparison of two
commits `kernels` is one side's package, whose answers are checked here and which has no say in what
is right.
"""

import runpy
import sys
from typing import TYPE_CHECKING

from bench import ROOT

if TYPE_CHECKING:
    from kernels._activations import Activation

TABLE = ROOT / "kernels" / "_activations.py"

if not TABLE.is_file():  # every command ends here, before one could say so
    sys.stderr.write(f"error: {TABLE} is missing: put it back (git checkout -- kernels)\n")
    sys.exit(2)

ACTIVATIONS: "dict[str, Activation]" = runpy.run_path(str(TABLE))["ACTIVATIONS"]
