"""A run's blocks as positions and logarithms, for the arithmetic."""

from dataclasses import dataclass

import numpy as np

from bench.stats.adjust.grouped import Booleans, Floats, Integers
from bench.stats.adjust.records import Blocks


@dataclass(frozen=True, slots=True)
class BlockTable:
    """A run's blocks, visits, cells and kernels: each points to the next by its position."""

    names: list[str]  # of the cells
    kernels: list[str]  # each once
    visit: Integers  # of each block, from 0 without gaps, in the order of time
    cell: Integers  # of each block
    cell_of_visit: Integers
    kernel_of_cell: Integers
    hosted: Booleans  # of each cell: its time is the host's, to be adjusted
    log_s: Floats  # log seconds of each block
    probe: Floats  # (2, blocks): log seconds of the readings around; 0 for a device's blocks
    readings: Floats  # log seconds of all of the run's readings, on all cores

    @property
    def hosted_blocks(self) -> Booleans:
        """Which blocks are to be adjusted."""
        return self.hosted[self.cell]


def tabulate(blocks: Blocks) -> BlockTable:
    """Raises ValueError for a visit of two cells, and for a time or reading that is not above 0."""
    cell = np.asarray(blocks.cell, np.intp)
    _, first, visit = np.unique(blocks.visit, return_index=True, return_inverse=True)
    cell_of_visit = cell[first]
    if not np.array_equal(cell_of_visit[visit], cell):
        raise ValueError("a visit has blocks of two cells")
    kernels, kernel_of_cell = np.unique(np.asarray(blocks.kernels, object), return_inverse=True)
    hosted = ~np.asarray(blocks.on_device, bool)
    seconds = np.asarray(blocks.seconds, np.float64)
    probe = np.array([blocks.probe_before, blocks.probe_after], np.float64)
    probe[:, ~hosted[cell]] = 1.0
    readings = np.concatenate([*probe[:, hosted[cell]], blocks.probe_elsewhere])
    if not all(np.all(values > 0) for values in (seconds, probe, readings)):
        raise ValueError("a time or a reading of the probe is missing, or not above 0")
    return BlockTable(
        names=list(blocks.names),
        kernels=[str(kernel) for kernel in kernels],
        visit=visit.astype(np.intp),
        cell=cell,
        cell_of_visit=cell_of_visit,
        kernel_of_cell=kernel_of_cell.astype(np.intp),
        hosted=hosted,
        log_s=np.log(seconds),
        probe=np.log(probe),
        readings=np.log(readings),
    )
