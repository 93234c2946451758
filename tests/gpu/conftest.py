"""`make gpu-check`: the tests of this folder on a real GPU, and a page to paste into an issue.

Without `--gpu-check` they are skipped where there is no GPU, as in `make test`; with it, no GPU is
a failure. What they measure goes through the fixture `numbers` onto the page, which is printed at
the end and written to gpu-check.md.
"""

import platform
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernels import Unavailable
from kernels._cupy import CudaDevice, open_device

PAGE = pytest.StashKey[list[str]]()
DEVICE = pytest.StashKey[CudaDevice]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of `make gpu-check`."""
    group = parser.getgroup("gpu")
    group.addoption("--gpu-check", action="store_true", help="no GPU is a failure, not a skip")
    group.addoption("--gpu-page", default="gpu-check.md", help="where the page is written")
    group.addoption("--gpu-budget", default="20s", help="of the runs of bench")
    group.addoption("--gpu-width", type=int, default=4096, help="of the large layers")


@pytest.fixture(scope="session")
def gpu(request: pytest.FixtureRequest) -> CudaDevice:
    """The first GPU."""
    try:
        device = open_device(0)
    except Unavailable as why:
        said = f"needs an NVIDIA GPU: {why}"
        if request.config.getoption("--gpu-check", default=False):
            pytest.exit(said, returncode=1)
        pytest.skip(said)
    request.config.stash[DEVICE] = device
    return device


@pytest.fixture
def width(request: pytest.FixtureRequest) -> int:
    """Units, inputs and examples of a large layer."""
    chosen: int = request.config.getoption("--gpu-width", default=4096)
    return chosen


@pytest.fixture
def numbers(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Put what was measured beside the test's name on the page."""

    def note(text: str) -> None:
        record_property("numbers", text)

    return note


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
    """Print the page and write it, where it was asked for."""
    if not config.getoption("--gpu-check", default=False):
        return
    text = page(terminalreporter.stats, config.stash.get(DEVICE, None))
    path = Path(config.getoption("--gpu-page"))
    path.write_text(text, encoding="utf-8")
    terminalreporter.section(f"to paste into an issue: {path}")
    terminalreporter.write_line(text)


def page(stats: dict[str, list[Any]], device: CudaDevice | None) -> str:
    """The results as Markdown: what it ran on, then a row a test."""
    rows = []
    counts = []
    for outcome in ("failed", "error", "skipped", "passed"):
        reports = [r for r in stats.get(outcome, ()) if hasattr(r, "nodeid")]
        if reports:
            counts.append(f"{len(reports)} {outcome}")
        for report in reports:
            noted = [str(text) for name, text in report.user_properties if name == "numbers"]
            if outcome == "skipped":
                noted.append(str(report.longrepr[2]).removeprefix("Skipped: "))
            elif outcome != "passed":
                noted.append(" ".join(str(report.longrepr.reprcrash.message).split())[:300])
            test = report.nodeid.rpartition("::")[2]
            rows.append(f"| {test} | {outcome} | {'; '.join(noted).replace('|', '/')} |")
    return "\n".join(
        [
            f"# gpu-check: {', '.join(counts) or 'nothing ran'}",
            "",
            *(f"- {what}: {value}" for what, value in facts(device).items()),
            "",
            "| check | result | numbers |",
            "| --- | --- | --- |",
            *rows,
            "",
        ]
    )


def facts(device: CudaDevice | None) -> dict[str, str]:
    """What it ran on."""
    found = {"device": "none was opened"}
    if device is not None:
        runtime = device.cupy.cuda.runtime
        found = {
            "device": f"{device.name}, compute capability {device.capability / 10}",
            "driver": f"supports CUDA {version(runtime.driverGetVersion())}",
            "CUDA runtime": version(runtime.runtimeGetVersion()),
            "CuPy": device.cupy.__version__,
        }
    for package in ("nvmath-python", "ml_dtypes"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return {
        **found,
        "NumPy": np.__version__,
        "Python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
    }


def version(number: int) -> str:
    """CUDA's 13020 is 13.2."""
    return f"{number // 1000}.{number % 1000 // 10}"
