"""What is said of downloads before they begin."""

from pathlib import Path

import pytest
from packaging.tags import sys_tags

from bench.machine import downloads
from bench.machine.downloads import Wheel

TAGS = list(sys_tags())
BEST, WORSE = TAGS[0], next(tag for tag in TAGS if tag.platform == "any")
"""A wheel for this very machine, and one for every machine."""

LOCK = """\
# made by a command
alpha==1.0 ; sys_platform == 'nowhere' \\
    --hash=sha256:aa
beta==2.0 \\
    --hash=sha256:b1 \\
    --hash=sha256:b2 \\
    --hash=sha256:b3
    # via gamma
gamma==3.0 ; python_full_version >= '3.11' \\
    --hash=sha256:cc
pytest==0.0.1 \\
    --hash=sha256:dd
"""

SIZES = f"""\
file,bytes,sha256
alpha-1.0-{WORSE}.whl,7000000000,aa
beta-2.0-cp27-cp27m-win32.whl,5000000,b1
beta-2.0-{WORSE}.whl,6000000,b2
beta-2.0-{BEST}.whl,2500000000,b3
gamma-3.0-{WORSE}.whl,40000,cc
pytest-0.0.1-{WORSE}.whl,1000000,dd
"""


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(downloads, "LOCKS", tmp_path)
    (tmp_path / "sizes.csv").write_text(SIZES, encoding="utf-8")
    (tmp_path / "no_such_library.txt").write_text(LOCK, encoding="utf-8")
    return tmp_path


def test_a_lock_has_what_this_machine_needs_and_the_hashes_of_its_files() -> None:
    found = [(str(r), hashes) for r, hashes in downloads.requirements(LOCK)]
    assert found == [
        ("beta==2.0", ["b1", "b2", "b3"]),
        ('gamma==3.0; python_full_version >= "3.11"', ["cc"]),
        ("pytest==0.0.1", ["dd"]),
    ]


@pytest.mark.usefixtures("locks")
def test_of_a_packages_files_the_one_counts_that_pip_would_take() -> None:
    wheels = downloads.known()
    assert wheels["cc"] == Wheel(f"gamma-3.0-{WORSE}.whl", 40000)
    assert downloads.size(["b1", "b2", "b3"], wheels) == 2_500_000_000
    assert downloads.size(["b1", "b2"], wheels) == 6_000_000
    assert downloads.size(["b1"], wheels) == 0
    assert downloads.size(["unknown"], wheels) == 0


@pytest.mark.usefixtures("locks")
def test_what_is_new_here_is_told_with_its_size() -> None:
    assert downloads.tell(["no_such_library"]) == [
        "to download, 2.5 GB in all:",
        "  no_such_library 2.5 GB  beta 2.0, pytest 0.0.1, gamma 3.0",
    ]


def test_a_size_that_is_not_known_is_not_taken_for_none(locks: Path) -> None:
    (locks / "no_such_library.txt").write_text("beta==2.0 --hash=sha256:b1\n", encoding="utf-8")
    assert downloads.tell(["no_such_library"])[1].endswith("beta 2.0 (of unknown size: beta)")


def test_a_package_of_the_locked_version_is_not_new(
    locks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = f"pytest=={pytest.__version__} \\\n    --hash=sha256:dd\n"
    (locks / "no_such_library.txt").write_text(lock, encoding="utf-8")
    downloads.main("tell", "no_such_library")
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("locks")
def test_of_a_library_that_is_there_in_any_version_nothing_is_told(locks: Path) -> None:
    (locks / "numpy.txt").write_text(LOCK, encoding="utf-8")
    assert downloads.tell(["numpy"]) == []


@pytest.mark.parametrize("driver", [True, False])
def test_without_a_driver_the_smaller_build_of_pytorch_is_named(
    driver: bool,  # noqa: FBT001
    locks: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (locks / "torch.txt").write_text(LOCK, encoding="utf-8")
    monkeypatch.setattr(downloads, "find_spec", lambda name: None)
    monkeypatch.setattr(downloads, "_driver", lambda: driver)
    said = "\n".join(downloads.tell(["torch"]))
    assert ("https://download.pytorch.org/whl/cpu" in said) == (not driver)


PYLOCK = """\
[[packages]]
name = "beta"
wheels = [
    { url = "https://index/9/beta-2.0-py3-none-any.whl", size = 60, hashes = { sha256 = "b" } },
    { url = "https://index/1/beta-2.0-cp311-cp311-x.whl", size = 50, hashes = { sha256 = "a" } },
]
[[packages]]
name = "source only"
"""


def test_sizes_come_from_a_lock_that_has_addresses_and_leave_those_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pylock.toml").write_text(PYLOCK, encoding="utf-8")
    downloads.main("sizes", str(tmp_path / "pylock.toml"))
    assert capsys.readouterr().out.splitlines() == [
        "file,bytes,sha256",
        "beta-2.0-cp311-cp311-x.whl,50,a",
        "beta-2.0-py3-none-any.whl,60,b",
    ]


@pytest.mark.parametrize("library", ["numba", "jax", "mlx", "torch"])
def test_the_size_of_everything_that_is_locked_is_known(library: str) -> None:
    wheels = downloads.known()
    lock = (downloads.LOCKS / f"{library}.txt").read_text(encoding="utf-8")
    for requirement, hashes in downloads.requirements(lock):
        assert any(digest in wheels for digest in hashes), requirement
