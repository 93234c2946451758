"""What is said of two sides whose environments differ."""

from pathlib import Path

import pytest
from msgspec import structs

from bench.gate import environments
from bench.gate.checkouts import LOCK, Side
from bench.worker.messages import Software

HERE = Software(1, (), "3.12.1", "2.3.1", ({"version": "0.3.29", "architecture": "Zen"},))
PINS = "# made by uv\nnumpy==2.3.1 \\\n    --hash=sha256:0\npandas==2.2.0 ; python_version > '3'\n"


def sides(folder: Path, *locks: str | None) -> list[Side]:
    made = []
    for name, lock in zip(("base", "head"), locks, strict=True):
        if lock is not None:
            (folder / name / LOCK).parent.mkdir(parents=True)
            (folder / name / LOCK).write_text(lock)
        made.append(Side(name, folder / name, name))
    return made


def test_sides_that_are_alike_have_nothing_to_say(tmp_path: Path) -> None:
    both = sides(tmp_path, PINS, PINS)
    assert environments.differences(both, [HERE, HERE], locked=False) == []


@pytest.mark.parametrize(
    ("locked", "words"), [(False, "--env locked compares them"), (True, "each side ran with")]
)
def test_packages_that_differ_are_named_with_both_versions(
    *, locked: bool, words: str, tmp_path: Path
) -> None:
    newer = PINS.replace("2.3.1", "2.4.0").replace("pandas==2.2.0", "scipy==1.2")
    (said,) = environments.differences(sides(tmp_path, PINS, newer), [HERE, HERE], locked=locked)
    assert said.startswith(
        "the sides' locks differ: numpy 2.3.1 -> 2.4.0, pandas gone, scipy 1.2 new; "
    )
    assert words in said


def test_processes_that_differ_are_named_too(tmp_path: Path) -> None:
    there = structs.replace(
        HERE, python="3.13.0", numpy="2.4.0", blas=({"version": "0.3.30", "architecture": "Zen"},)
    )
    both = sides(tmp_path, PINS, PINS)
    (said,) = environments.differences(both, [HERE, there], locked=True)
    blas = "BLAS 0.3.29 for Zen -> 0.3.30 for Zen"
    others = "NumPy 2.3.1 -> 2.4.0, Python 3.12.1 -> 3.13.0"
    assert said == f"the sides' processes differ: {blas}, {others}"


TWICE = (
    "numpy==2.4.6 ; python_full_version < '3.12' \\\n    --hash=sha256:0\n"
    "numpy==2.5.5 ; python_full_version >= '3.12' \\\n    --hash=sha256:1\n"
)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (
            TWICE,
            TWICE.replace("2.4.6", "2.4.7"),
            "numpy (python_full_version < '3.12') 2.4.6 -> 2.4.7",
        ),
        (
            TWICE,
            TWICE.replace("2.5.5", "2.6"),
            "numpy (python_full_version >= '3.12') 2.5.5 -> 2.6",
        ),
        (
            PINS,
            PINS.replace("> '3'", "> '4'"),
            "pandas (python_version > '3') gone, pandas (python_version > '4') 2.2.0 new",
        ),
        (None, PINS, "the base's locks/bench.txt does not exist"),
        (PINS, "# empty\n", "the head's locks/bench.txt names no packages"),
        (TWICE, TWICE, None),
        (None, None, None),
    ],
)
def test_what_differs_for_one_python_or_in_a_whole_lock_is_said(
    before: str | None, after: str | None, words: str | None, tmp_path: Path
) -> None:
    both = sides(tmp_path, before, after)
    said = environments.differences(both, [HERE, HERE], locked=True)
    expected = f"the sides' locks differ: {words}; each side ran with its own"
    assert said == ([] if words is None else [expected])


def test_many_are_counted(tmp_path: Path) -> None:
    before, after = ("".join(f"p{i}=={v}\n" for i in range(9)) for v in (1, 2))
    (said,) = environments.differences(sides(tmp_path, before, after), [HERE, HERE], locked=True)
    assert "p5 1 -> 2 and 3 more; " in said
