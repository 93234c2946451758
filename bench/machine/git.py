"""Git on this checkout, and on no other repository, whatever the environment says."""

import os
import subprocess
from dataclasses import dataclass

from bench import ROOT

ELSEWHERE = frozenset(
    f"GIT_{name}"
    for name in (
        "ALTERNATE_OBJECT_DIRECTORIES",
        "CEILING_DIRECTORIES",
        "COMMON_DIR",
        "DIR",
        "GLOB_PATHSPECS",
        "GRAFT_FILE",
        "ICASE_PATHSPECS",
        "IMPLICIT_WORK_TREE",
        "INDEX_FILE",
        "LITERAL_PATHSPECS",
        "NAMESPACE",
        "NOGLOB_PATHSPECS",
        "NO_REPLACE_OBJECTS",
        "OBJECT_DIRECTORY",
        "PREFIX",
        "REPLACE_REF_BASE",
        "SHALLOW_FILE",
        "WORK_TREE",
    )
)
"""Variables that name another repository, or read paths in another way. Git itself exports some of
them to hooks. Those that say how to reach a remote, or whom to trust, are left as they are."""

TIMEOUT_S = 120.0
"""A clone without its files fetches them from its remote, which may never answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a git command printed, and where it failed, why."""

    output: bytes
    trouble: str = ""  # one line; empty where it succeeded

    def __bool__(self) -> bool:
        return not self.trouble

    @property
    def text(self) -> str:
        """The output without its line end."""
        return self.output.decode(errors="replace").strip()


def git(*arguments: str, timeout_s: float = TIMEOUT_S) -> Answer:
    """Run git in the checkout, which may be a folder of a larger repository.

    Raises OSError where git can't be run: FileNotFoundError where it is not installed.
    """
    environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    environment |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        return Answer(b"", f"git gave no answer in {timeout_s:g} s")
    if done.returncode == 0:
        return Answer(done.stdout)
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    fatal = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines
    return Answer(done.stdout, fatal[0] if fatal else f"git exited with {done.returncode}")
