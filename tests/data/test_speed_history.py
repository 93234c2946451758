"""What runs have told of a machine's speed, from run to run."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data import speed_history
from bench.data.speed_history import History, Trait

KNOWN = History(4.7e-5, {"numpy_dot": Trait(0.9, 0.05, 0.01), "python_loop": Trait(1.0, 0.1, 0.0)})


def test_what_is_written_is_read_again_by_the_machines_fingerprint(tmp_path: Path) -> None:
    file = tmp_path / ".speed.json"
    assert speed_history.read(file, "here") == History()
    speed_history.write(file, "here", KNOWN)
    speed_history.write(file, "there", History(9e-5))
    assert speed_history.read(file, "here") == KNOWN
    assert speed_history.read(file, "there") == History(9e-5)
    assert speed_history.read(file, "elsewhere") == History()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"here": 3}',
        '{"here": {"floor_s": 0}}',
        '{"here": {"floor_s": -1}}',
        '{"here": {"floor_s": 1e-300}}',
        '{"here": {"floor_s": 1e300}}',
        '{"here": {"floor_s": NaN}}',
        '{"here": {"floor_s": true}}',
        '{"here": {"kernels": {"k": {"slope": 1e9, "error": 0.1, "offset": 0}}}}',
        '{"here": {"kernels": {"k": {"slope": 1, "error": -0.1, "offset": 0}}}}',
        '{"here": {"kernels": {"k": {"slope": 1, "error": 0.1, "offset": "far"}}}}',
        '{"here": {"kernels": {"k": {}}}}',
        '{"here": ' + 100_000 * "[",
        "\x00\xff",
    ],
)
def test_a_file_that_makes_no_sense_is_ignored_and_replaced(tmp_path: Path, text: str) -> None:
    file = tmp_path / ".speed.json"
    file.write_text(text)
    assert speed_history.read(file, "here") == History()
    speed_history.write(file, "here", KNOWN)
    assert speed_history.read(file, "here") == KNOWN


@settings(deadline=None, derandomize=True, database=None, max_examples=60)
@given(st.binary(max_size=60))
def test_no_file_does_harm(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.mktemp("speed") / ".speed.json"
    file.write_bytes(data)
    assert speed_history.read(file, "here") == History()


def test_a_folder_that_can_not_be_written_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")
    for file in (tmp_path / "none" / ".speed.json", tmp_path / "a file" / ".speed.json", tmp_path):
        speed_history.write(file, "here", KNOWN)
        assert speed_history.read(file, "here") == History()
