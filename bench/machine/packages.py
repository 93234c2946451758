"""Bring the packages of the lock files into .venv. `make` calls it each time; mostly all is there.

    python -m bench.machine.packages bench                          # those of locks/bench.txt
    python -m bench.machine.packages bench --gpu auto --kernel all  # and CuPy, Numba, JAX, PyTorch

uv installs them, or pip where uv isn't there or fails. Packages are added, and those that no lock
names stay: a user may have put them there. It runs in .venv, with the standard library alone.
"""

import argparse
import ast
import importlib
import itertools
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from bench import ROOT
from bench.machine import downloads, wheel

LOCKS = ROOT / "locks"

VENV = Path(sys.prefix)

UV = VENV / "bin" / "uv"
"""Not there where it has no wheel for this machine, or wasn't to be had when .venv was made."""

UNFINISHED = "unfinished"
"""A file in .venv, there while packages change: `make` makes an environment with it anew."""

ADDED = "libraries"
"""A file in .venv: the kernels' libraries that came from their locks, a name a line. One that is
installed and isn't named there is the user's own, or the tests'."""

TRUE = ("1", "true", "yes", "on")

SECTIONS = ("global", "install", ":env:")
"""Where pip takes the settings of `pip install` from; a later one wins."""

SETTINGS = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT",
    "no-cache-dir": "UV_NO_CACHE",
    "proxy": "ALL_PROXY",
    "client-cert": "SSL_CLIENT_CERT",
    "cert": "SSL_CERT_FILE",
}
"""What pip calls a setting -> the variable that uv reads it from."""


def pip_config() -> str:
    """What pip has been told, by its files and by variables."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def pip_settings(listing: str) -> dict[str, str]:
    """Lines of `pip config list` -> what holds for `pip install`, by pip's names."""
    found = re.findall(r"^([^.\n]+)\.\.?([\w-]+)=(.*)$", listing, re.MULTILINE)
    rows = sorted((row for row in found if row[0] in SECTIONS), key=lambda r: SECTIONS.index(r[0]))
    return {name: str(ast.literal_eval(value)) for _, name, value in rows}


def uv_settings(
    settings_of_pip: Mapping[str, str], environment: Mapping[str, str]
) -> dict[str, str]:
    """The variables that let uv see the index, mirrors and certificates that pip would.

    A variable of uv's own that the user has set wins. Hashes are pinned, so each index may answer.
    """
    settings = {"UV_SYSTEM_CERTS": "1", "UV_INDEX_STRATEGY": "unsafe-best-match"}
    for bundle in ("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):  # pip goes by these too
        if environment.get(bundle):
            settings["SSL_CERT_FILE"] = environment[bundle]
    for name, value in settings_of_pip.items():
        if name in SETTINGS:
            separator = "," if name == "find-links" else " "
            settings[SETTINGS[name]] = separator.join(value.split())
    own = {name: value for name, value in environment.items() if name.startswith("UV_")}
    return {**environment, **settings, **own}


LOCKS_ALONE = {"PIP_CONSTRAINT": os.devnull, "PIP_USER": "0"}
"""What pip is told so that versions come from a lock: NVIDIA's containers name a file of
constraints for their own Python, in the environment or in pip.conf."""


class Failed(Exception):
    """.venv can't be brought to what is asked for; the installer has said why."""


UNAVAILABLE = "packages can't be installed: the lines above say why; then make again"


def uv(*arguments: str) -> bool:
    """Run uv with pip's settings -> whether it succeeded."""
    settings = pip_settings(pip_config())
    offline = ["--no-index"] if settings.get("no-index", "").lower() in TRUE else []
    environment = uv_settings(settings, os.environ)
    return _succeeds([str(UV), *arguments, *offline], environment)


def pip(*arguments: str) -> bool:
    """Run .venv's pip -> whether it succeeded."""
    return _succeeds([sys.executable, "-m", "pip", *arguments], os.environ | LOCKS_ALONE)


def _succeeds(command: list[str], environment: Mapping[str, str]) -> bool:
    try:
        return subprocess.run(command, env=environment, check=False).returncode == 0
    except OSError:  # a uv that isn't made for this machine
        return False


def contents() -> set[str]:
    """What lies in site-packages; a package that comes, goes or changes version changes it."""
    folder = Path(sysconfig.get_path("purelib"))
    return {path.name for path in folder.iterdir()} - {"__pycache__"}


@contextmanager
def changing() -> Iterator[None]:
    """Around each change of packages: what stops it midway, even a kill, leaves UNFINISHED.

    Where nothing has come or gone, as while files are downloaded, .venv is as good as it was.
    """
    mark = VENV / UNFINISHED
    fresh = mark.exists()
    before = contents()
    mark.touch()
    try:
        yield
    except BaseException:
        if not fresh and contents() == before:
            mark.unlink()
        raise
    mark.unlink()
    importlib.invalidate_caches()


def install(*locks: str, loud: bool) -> None:
    """Bring .venv to what the locks say. Either tool downloads all before it installs.

    What is loud shows its progress: it may take minutes. It is compiled beforehand too: a kernel's
    first launch has a time limit, and may import more.
    """
    quiet = [] if loud else ["--quiet"]
    compiled = ["--compile-bytecode"] if loud else []
    before = contents()
    if _by_uv(*compiled, *quiet, *_files(*locks)):
        return
    if contents() != before or not pip("install", *quiet, *_files(*locks)):
        raise Failed(UNAVAILABLE)


def fetch(lock: str) -> None:
    """Download what a lock names into the installer's cache, where `install` finds it."""
    with tempfile.TemporaryDirectory(dir=VENV) as folder:
        if not _by_uv("--target", folder, *_files(lock)) and not (
            pip("download", "--dest", folder, *_files(lock))
        ):
            raise Failed(UNAVAILABLE)


def _by_uv(*arguments: str) -> bool:
    if not UV.exists():
        return False
    if uv("pip", "install", "--python", sys.executable, *arguments):
        return True
    tell("uv can't do it: trying pip")
    return False


def _files(*locks: str) -> list[str]:
    files = (("-r", str(LOCKS / f"{lock}.txt")) for lock in locks)
    return ["--require-hashes", *itertools.chain.from_iterable(files)]


def lacking(lock: str) -> bool:
    """Whether some package of the lock isn't here in the lock's version."""
    text = (LOCKS / f"{lock}.txt").read_text(encoding="utf-8")
    try:
        return not all(downloads.installed(each) for each, _ in downloads.requirements(text))
    except ModuleNotFoundError:  # packaging, which is one of them
        return True


def replace(spare: Iterable[str], *locks: str, loud: bool = False) -> None:
    """Remove packages, once all that comes instead is here, and install locks.

    CuPy's wheels hold the same files: the one that goes last takes the other's with it. Raises
    Failed.
    """
    names = tuple(spare)
    if names:
        for lock in locks:
            fetch(lock)
    with changing():
        if names and not pip("uninstall", "--quiet", "--yes", *names):
            raise Failed(f"can't remove {', '.join(names)}")
        if locks:
            install(*locks, loud=loud)


def bring(group: str) -> None:
    """What bench, fleet, history, test or lint needs. Raises Failed."""
    tools = ["uv"] if UV.exists() and lacking("uv") else []
    lock = (LOCKS / f"{group}.txt").read_text(encoding="utf-8")
    if not tools and not lacking(group):
        return
    tell(f"adding what {group} needs to .venv")
    replace(wheel.beside(wheel.installed(), lock), *tools, group)


def bring_gpu(word: str) -> None:
    """The CuPy that this machine's GPU needs, or that the word asks for, and no other one.

    Raises Failed; ValueError for a wheel that there is none of for this machine.
    """
    choice, change = wheel.plan(word)
    tell(wheel.line(choice, change))
    if not change:
        return
    try:
        replace(change.spare, *([] if change.wheel == "none" else [change.wheel]), loud=True)
    except Failed as error:
        raise Failed("CuPy can't be had: try again, or go without it: make GPU=none") from error


def bring_libraries(kernels: Iterable[str]) -> None:
    """The libraries of kernels that have one of their own, by the kernels' names; or of `all`.

    A user's own is left as it is. One that can't be had leaves its kernels unavailable. Raises
    Failed where one is half installed.
    """
    known = sorted({_library(path.stem) for path in (ROOT / "kernels").glob("[!_.]*.py")})
    wanted = {_library(name) for name in kernels}
    libraries = [
        name
        for name in known
        if (LOCKS / f"{name}.txt").exists() and ("all" in wanted or name in wanted)
    ]
    for line in downloads.tell(libraries):
        tell(line)
    added = VENV / ADDED
    ours = added.read_text(encoding="utf-8").split() if added.exists() else []
    for name in libraries:
        if find_spec(name) is not None and (name not in ours or not lacking(name)):
            continue
        try:
            replace((), name, loud=True)
        except Failed:
            if (VENV / UNFINISHED).exists():
                raise
            tell(f"note: without {name} its kernels stay unavailable")
        else:
            ours.append(name)
            added.write_text("".join(f"{each}\n" for each in sorted(set(ours))), encoding="utf-8")


def _library(kernel: str) -> str:
    """The name of a kernel's library: numba for numba_loop."""
    return kernel.partition("_")[0]


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def main(arguments: list[str]) -> int:
    """Bring what is asked for -> exit code."""
    parser = argparse.ArgumentParser(prog="bench.machine.packages")
    parser.add_argument("group", choices=("bench", "fleet", "history", "test", "lint"))
    parser.add_argument("--gpu", choices=wheel.WORDS)
    parser.add_argument("--kernel", action="append", default=[])
    asked = parser.parse_args(arguments)
    try:
        bring(asked.group)
        if asked.gpu:
            bring_gpu(asked.gpu)
        if asked.kernel:
            bring_libraries(asked.kernel)
    except (Failed, ValueError) as error:
        tell(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
