"""A kernel is found by its file, a bad file is named, and a hash says which times can be mixed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import kernels
from kernels import _load
from kernels._load import FOLDER

PREPARE = "def prepare(layer, batch, device=0):\n    return None\n"


class TestLoad:
    """A kernel is found by its file, and a bad file is named."""

    def mine(self, folder: Path, text: str, name: str = "mine.py") -> str:
        path = folder / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    @pytest.mark.parametrize("name", kernels.names())
    def test_by_name(self, name: str) -> None:
        kernel = kernels.load(name)
        assert kernel.name == name
        assert len(kernel.hash) == 12
        assert kernel.summary.endswith((".", ":"))

    def test_by_path_from_anywhere(self, tmp_path: Path) -> None:
        path = self.mine(tmp_path, '"""  Mine, in one line.\n\nAnd more.\n"""\n' + PREPARE)
        kernel = kernels.load(path)
        assert (kernel.name, kernel.summary) == ("mine", "Mine, in one line.")
        assert kernel.prepare(None, 1) is None

    def test_without_a_docstring_there_is_no_summary(self, tmp_path: Path) -> None:
        assert kernels.load(self.mine(tmp_path, PREPARE)).summary == ""

    def test_one_named_like_a_module_of_pythons_does_not_replace_it(self, tmp_path: Path) -> None:
        import json

        kernels.load(self.mine(tmp_path, PREPARE, "json.py"))
        assert sys.modules["json"] is json

    def test_one_that_defines_a_dataclass_with_late_annotations(self, tmp_path: Path) -> None:
        # dataclasses look their own module up by name
        late = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        text = f"{late}@dataclass\nclass State:\n    loops: int = 0\n{PREPARE}"
        assert kernels.load(self.mine(tmp_path, text)).name == "mine"

    @pytest.mark.parametrize("name", ["nonesuch", "_cupy", "__init__", "", "/nonesuch/mine.py"])
    def test_what_is_no_kernel_is_refused_with_the_known_ones(self, name: str) -> None:
        with pytest.raises(LookupError) as caught:
            kernels.load(name)
        assert repr(name) in str(caught.value)
        assert all(known in str(caught.value) for known in kernels.names())

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("x = 1\ndef prepare(layer:\n", ", line 2: "),
            ("x = 1\n", ": defines no function prepare(layer, batch, device=0)"),
            ("prepare = 3\n", ": defines no function prepare(layer, batch, device=0)"),
            (
                "import no_such_library\n",
                ": ModuleNotFoundError: No module named 'no_such_library'",
            ),
            ("1 / 0\n", ": ZeroDivisionError: division by zero"),
        ],
    )
    def test_what_is_wrong_with_a_file_is_said_with_its_path(
        self, text: str, said: str, tmp_path: Path
    ) -> None:
        path = self.mine(tmp_path, text)
        with pytest.raises(ImportError) as caught:
            kernels.load(path)
        assert str(caught.value).startswith(path + said)

    def test_the_hash_changes_with_the_content_and_only_with_it(self, tmp_path: Path) -> None:
        (tmp_path / "other").mkdir()
        first = kernels.load(self.mine(tmp_path, PREPARE)).hash
        assert kernels.load(self.mine(tmp_path / "other", PREPARE)).hash == first
        assert kernels.load(self.mine(tmp_path, PREPARE + "# faster\n")).hash != first

    @pytest.mark.parametrize(
        ("text", "name"),
        [
            (
                "from pathlib import Path\nPath(__file__).with_name('table.txt').read_text()\n",
                "table.txt",
            ),
            ("TABLE = 'data/table.bin'\n", "data/table.bin"),
            ("import shared_bits\n", "shared_bits.py"),
            ("from shared_bits import run\n", "shared_bits.py"),
            ("import importlib\nimportlib.import_module('shared.bits')\n", "shared/bits.py"),
        ],
    )
    def test_it_covers_what_the_file_names_beside_it(
        self, text: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "modules", dict(sys.modules))
        monkeypatch.syspath_prepend(tmp_path)
        beside, unnamed = tmp_path / name, tmp_path / "unnamed.py"
        beside.parent.mkdir(exist_ok=True)
        beside.write_text("run = 5\n")
        path = self.mine(tmp_path, text + PREPARE)
        kernel = kernels.load(path)
        unnamed.write_text("run = 5\n")
        assert not kernel.changed
        beside.write_text("run = 9\n")
        assert kernel.changed
        assert kernels.load(path).hash != kernel.hash
        beside.unlink()
        assert kernel.changed

    def test_and_what_those_name(self, tmp_path: Path) -> None:
        (tmp_path / "shared_bits.py").write_text("TABLE = 'table.txt'\n")
        (tmp_path / "table.txt").write_text("5")
        path = self.mine(tmp_path, "HELPER = 'shared_bits.py'\n" + PREPARE)
        kernel = kernels.load(path)
        (tmp_path / "table.txt").write_text("9")
        assert kernel.changed

    def test_what_is_loaded_is_what_the_file_says_now(self, tmp_path: Path) -> None:
        # bytecode is kept by the second of the last change and the size
        for number in "12345":
            path = self.mine(
                tmp_path, f"def prepare(layer, batch, device=0):\n    return {number}\n"
            )
            assert str(kernels.load(path).prepare(None, 1)) == number

    def test_one_that_changes_while_it_is_imported_is_refused(self, tmp_path: Path) -> None:
        text = "from pathlib import Path\nPath(__file__).write_text('more')\n" + PREPARE
        with pytest.raises(ImportError, match="changed while it was imported"):
            kernels.load(self.mine(tmp_path, text))

    def test_private_files_are_no_kernels(self) -> None:
        assert not [name for name in kernels.names() if name.startswith("_")]
        assert (FOLDER / "_activations.py").is_file()


MINE = '''"""Twice as fast, some day."""

import numpy as np

from kernels import Layer, Step


def prepare(layer: Layer, batch: int, device: int = 0) -> Step:
    """Ready it."""

    def launch(A_in):
        return A_in @ layer.W + layer.b

    return Step(launch)
'''


def python(folder: Path, code: str) -> str:
    """What a fresh interpreter prints, started in `folder`."""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_kernels_imports_neither_the_harness_nor_a_kernels_library() -> None:
    code = (
        "import sys, kernels; kernels.load('numpy_matmul');"
        "others = ('bench', 'cupy', 'scipy', 'pandas', 'jax', 'numba', 'torch');"
        "print([m for m in others if m in sys.modules])"
    )
    assert python(FOLDER.parent, code) == "[]"


def test_a_kernel_is_added_by_one_short_file_and_nothing_else(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(FOLDER, tmp_path / "kernels", ignore=ignored)
    assert len(MINE.splitlines()) < 30
    (tmp_path / "kernels" / "mine.py").write_text(MINE, encoding="utf-8")
    code = (
        "import numpy as np, kernels;"
        "one = np.ones((1, 1), 'float32');"
        "step = kernels.load('mine').prepare(kernels.Layer(one, one), 1);"
        "print(*kernels.names(), step.fetch(step.launch(step.send(one))).item())"
    )
    names = sorted([*kernels.names(), "mine"])
    assert python(tmp_path, code) == f"{' '.join(names)} 2.0"


class TestHashOfWhatIsImported:
    """A kernel is its file and what it imports from this folder; other files are no part of it."""

    @pytest.mark.parametrize(
        ("file", "changed"),
        [
            ("__init__.py", {"numpy_dot", "numba_packed", "cupy_matmul", "mine"}),  # the contract
            ("_host.py", {"numpy_dot", "numba_packed", "cupy_matmul", "mine"}),  # the clock
            ("_activations.py", {"numpy_dot", "numba_packed", "cupy_matmul", "mine"}),
            ("_cupy.py", {"cupy_matmul"}),
            ("_nvml.py", {"cupy_matmul"}),  # through _cupy.py
            ("_numba_tiles.py", {"numba_packed", "mine"}),  # by import_module
            ("numba_packed.py", {"numba_packed", "mine"}),
            ("numpy_dot.py", {"numpy_dot"}),
            ("_load.py", set()),
        ],
    )
    def test_a_change_to_it_makes_another_kernel(
        self, file: str, changed: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        copied = shutil.copytree(FOLDER, tmp_path / "kernels")
        mine = tmp_path / "mine.py"
        mine.write_text("from kernels import numba_packed\n", encoding="utf-8")
        files = [mine, *(copied / f"{n}.py" for n in ("numpy_dot", "numba_packed", "cupy_matmul"))]
        monkeypatch.setattr(_load, "FOLDER", copied)
        before = {path.stem: _load._digest(path) for path in files}
        path = copied / file
        path.write_text(path.read_text(encoding="utf-8") + "# other\n", encoding="utf-8")
        after = {path.stem: _load._digest(path) for path in files}
        assert {name for name in before if before[name] != after[name]} == changed


@pytest.mark.parametrize("name", [".#mine.py", "._mine.py", ".mine.py", ".py"])
def test_hidden_files_are_no_kernels(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(PREPARE, encoding="utf-8")
    (tmp_path / name).write_text(PREPARE, encoding="utf-8")
    (tmp_path / ".#lock.py").symlink_to("me@host.4711:1732570000")
    monkeypatch.setattr(_load, "FOLDER", tmp_path)
    assert kernels.names() == ("mine",)
    with pytest.raises(LookupError, match="no kernel"):
        kernels.load(str(tmp_path / name))


def test_a_kernel_that_imports_from_beside_it_hears_that_it_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "shared_bits.py").write_text("TWO = 2\n", encoding="utf-8")
    mine = tmp_path / "mine.py"
    mine.write_text(f"import shared_bits\n{PREPARE}", encoding="utf-8")
    with pytest.raises(
        ImportError, match=r"'shared_bits'; a kernel is one file: put what it needs"
    ):
        kernels.load(str(mine))
    mine.write_text(f"import nowhere_to_be_found\n{PREPARE}", encoding="utf-8")
    with pytest.raises(
        ImportError,
        match=r"No module named .nowhere_to_be_found. \(\.venv/bin/python -m pip install ",
    ):
        kernels.load(str(mine))
