"""The kernels of kernel_files/troubles.py, by name."""

import runpy

from bench import ROOT

FILE = ROOT / "tests" / "doubles" / "kernel_files" / "troubles.py"


TROUBLES = [trouble.__name__ for trouble in runpy.run_path(str(FILE))["TROUBLES"]]
