"""What `make` is about to download for kernels that have a library of their own, and how much.

    python -m bench.machine.downloads tell numba torch     # from locks/
    python -m bench.machine.downloads sizes pylock.*.toml  # for `make lock`

It asks no network. What is installed already isn't downloaded again, and of a package's wheels the
one counts that pip would take here.
"""

import csv
import ctypes
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from bench import ROOT

if TYPE_CHECKING:
    from packaging.requirements import Requirement

LOCKS = ROOT / "locks"

CPU_BUILD = """\
      from PyPI, PyTorch brings CUDA along on Linux, and here is no NVIDIA driver. A build without
      it has about 0.2 GB, and is kept if it is there first:
      .venv/bin/python -m pip install torch --index-url https://download.pytorch.org/whl/cpu"""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A file that an index has."""

    file: str
    size: int  # bytes


def requirements(lock: str) -> "Iterator[tuple[Requirement, list[str]]]":
    """A lock's packages that this machine needs, each with the hashes of its files."""
    from packaging.requirements import Requirement

    text = re.sub(r"^\s*#.*$", "", lock, flags=re.MULTILINE).replace("\\\n", " ")
    for line in filter(None, map(str.strip, text.splitlines())):
        wanted, *hashes = line.split(" --hash=sha256:")
        requirement = Requirement(wanted)
        if requirement.marker is None or requirement.marker.evaluate():
            yield requirement, [digest.strip() for digest in hashes]


def installed(requirement: "Requirement") -> bool:
    try:
        return requirement.specifier.contains(metadata.version(requirement.name), prereleases=True)
    except metadata.PackageNotFoundError:
        return False


def size(hashes: Iterable[str], wheels: Mapping[str, Wheel]) -> int:
    """Bytes of the file that pip would take here; 0 where that isn't known."""
    from packaging.tags import sys_tags
    from packaging.utils import parse_wheel_filename

    ranks = {tag: rank for rank, tag in enumerate(sys_tags())}
    fitting = [
        (min(ranks[tag] for tag in tags), wheel.size)
        for wheel in (wheels[digest] for digest in hashes if digest in wheels)
        if (tags := parse_wheel_filename(wheel.file)[3] & ranks.keys())
    ]
    return min(fitting, default=(0, 0))[1]


def known() -> dict[str, Wheel]:
    """Every wheel of the libraries' locks, by its hash."""
    with (LOCKS / "sizes.csv").open(encoding="utf-8", newline="") as file:
        return {
            row["sha256"]: Wheel(row["file"], int(row["bytes"])) for row in csv.DictReader(file)
        }


def tell(libraries: Iterable[str]) -> list[str]:
    """What will be downloaded, a line a library; nothing for those that are there."""
    wheels = known()
    lines = []
    total = 0
    for library in libraries:
        if find_spec(library) is not None:
            continue
        lock = (LOCKS / f"{library}.txt").read_text(encoding="utf-8")
        new = [(r, size(hashes, wheels)) for r, hashes in requirements(lock) if not installed(r)]
        if not new:
            continue
        largest = sorted(new, key=lambda one: -one[1])
        names = [f"{r.name} {str(r.specifier).removeprefix('==')}" for r, _ in largest[:4]]
        more = f" and {len(new) - 4} more" if len(new) > 4 else ""
        if unknown := [r.name for r, bytes_ in new if not bytes_]:
            more += f" (of unknown size: {', '.join(unknown)})"
        needed = sum(bytes_ for _, bytes_ in new)
        total += needed
        lines.append(f"  {library:<6}{_amount(needed):>7}  {', '.join(names)}{more}")
        if library == "torch" and needed > 10**9 and not _driver():
            lines.append(CPU_BUILD)
    return [f"to download, {_amount(total)} in all:", *lines] if lines else []


def _driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def _amount(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"


def sizes(locks: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Rows of sizes.csv, a wheel each, from locks as PEP 751 has them (pylock.toml)."""
    for name in locks:
        content = tomllib.loads(Path(name).read_text(encoding="utf-8"))
        for package in content["packages"]:
            for wheel in package.get("wheels", ()):
                file = wheel["url"].rpartition("/")[2]
                yield file, str(wheel["size"]), wheel["hashes"]["sha256"]


def main(command: str, *names: str) -> None:
    """Print what is asked for."""
    if command == "tell":
        sys.stdout.writelines(f"{line}\n" for line in tell(names))
        return
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(("file", "bytes", "sha256"))
    rows.writerows(sorted(set(sizes(names))))


if __name__ == "__main__":
    main(*sys.argv[1:])
