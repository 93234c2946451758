"""What each column means, from the comments in records.py: `python -m bench.data.meanings cells`.

Prints a table in Markdown of the columns of visits, blocks, cells, rounds, verdicts or counts, or
of the words of `status`, `device_throttled` or `untold`.
"""

import ast
import inspect
import io
import sys
import tokenize
from collections.abc import Iterator

from bench.data import records

RECORDS = {
    "visits": "Visit",
    "blocks": "Block",
    "cells": "CellRow",
    "rounds": "Round",
    "verdicts": "Verdict",
    "counts": "Count",
    "status": "Status",
    "throttled": "Throttle",
    "untold": "Untold",
}
"""What can be asked for, and where in records.py it is."""


def meanings(asked: str) -> Iterator[tuple[str, str]]:
    """Each column (or word) and its meaning, in order. Raises KeyError for one not in RECORDS."""
    source = inspect.getsource(records)
    comments = {
        token.start[0]: token.string.removeprefix("#").strip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    for name, line in _places(ast.parse(source), RECORDS[asked]):
        first = line
        while first - 1 in comments:
            first -= 1
        yield name, " ".join(comments[above] for above in range(first, line))


def _places(tree: ast.Module, record: str) -> Iterator[tuple[str, int]]:
    """The columns of a class, or the words of a Literal, and the line of each."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == record:
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    yield field.target.id, field.lineno
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == record:
            for word in ast.walk(node.value):
                if isinstance(word, ast.Constant) and isinstance(word.value, str):
                    yield word.value, word.lineno


def table(asked: str) -> str:
    """The same as a table in Markdown."""
    rows = [f"| `{name}` | {meaning} |" for name, meaning in meanings(asked)]
    heading = (
        "column"
        if asked in ("visits", "blocks", "cells", "rounds", "verdicts", "counts")
        else asked
    )
    return "\n".join([f"| {heading} | meaning |", "| --- | --- |", *rows]) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in RECORDS:
        sys.exit(f"usage: python -m bench.data.meanings {' | '.join(RECORDS)}")
    sys.stdout.write(table(sys.argv[1]))
