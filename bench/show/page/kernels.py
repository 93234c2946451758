"""Kernels on the page: their looks in both themes, their words and code from their files."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from bench import ROOT
from bench.show.page.markers import PATHS
from bench.show.pictures.parts import looks

WIDTH = 2.0  # of a line, in pixels


@dataclass(frozen=True, slots=True)
class Source:
    """What a kernel's file says."""

    summary: str  # the first line of its docstring
    shows: str  # the paragraph that says what it shows
    code: str  # the function that is launched
    loops: int | None  # loops inside each other that Python runs in a launch


def variable(kernel: str, kernels: Sequence[str]) -> str:
    """The CSS variable that holds its colour."""
    return f"--k{kernels.index(kernel)}"


def marker(kernel: str) -> str:
    """Its marker, as a path."""
    return PATHS[looks.look(kernel).marker]


def dash(kernel: str) -> list[float]:
    """The dashes and gaps of its line in turn, in pixels; none: unbroken."""
    return [WIDTH * part for part in looks.look(kernel).dash]


def colours(kernels: Sequence[str]) -> str:
    """A style sheet: each kernel's colours on light paper, on dark paper, and in print."""

    def block(name: str) -> str:
        theme = looks.THEMES[name]
        general = {"paper": theme.paper, "ink": theme.ink, "muted": theme.muted, "grid": theme.grid}
        lines = [f"--{what}:{colour}" for what, colour in general.items()]
        for kernel in kernels:
            mine = variable(kernel, kernels)
            lines += [f"{mine}:{theme.line(kernel)}", f"{mine}-tint:{theme.tint(kernel)}"]
        return ":root{" + ";".join(lines) + "}"

    uses = "".join(
        f".k{i}{{--mine:var(--k{i});--tint:var(--k{i}-tint)}}" for i in range(len(kernels))
    )
    dark = f"@media screen and (prefers-color-scheme:dark){{{block('dark')}}}"
    return f"{block('light')}{dark}{uses}"


def source(kernel: str) -> Source | None:
    """A kernel of this checkout, read and not imported; None for any other."""
    path = ROOT / "kernels" / f"{kernel}.py"
    try:
        own = kernel.isidentifier() and not kernel.startswith("_")
        text = path.read_text(encoding="utf-8") if own else ""
        tree = ast.parse(text)
    except (OSError, ValueError, SyntaxError):
        return None
    doc = ast.get_docstring(tree)
    if not doc:
        return None
    paragraphs = [" ".join(part.split()) for part in doc.split("\n\n")]
    shows = next((part for part in paragraphs if part.startswith("What it shows: ")), "")
    launch = next(
        (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "launch"), None
    )
    if launch is None:
        return Source(paragraphs[0], shows.removeprefix("What it shows: "), "", None)
    lines = text.splitlines()[launch.lineno - 1 : launch.end_lineno]
    code = "\n".join(line[launch.col_offset :] for line in lines)
    return Source(paragraphs[0], shows.removeprefix("What it shows: "), code, _depth(launch))


def _depth(node: ast.AST) -> int:
    """How many loops stand inside each other in it."""
    inner = max(map(_depth, ast.iter_child_nodes(node)), default=0)
    loops = (ast.For, ast.While, ast.ListComp, ast.GeneratorExp, ast.DictComp, ast.SetComp)
    return inner + isinstance(node, loops)
