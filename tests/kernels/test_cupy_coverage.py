"""Every line of the GPU's kernels is executed on the double, as Python's tracer sees it."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
import test_cupy
from cupy_double import Machine
from test_cupy import DOES, FOLDER, arrays, prepared
from test_cupy_mutations import COPIED, Mistake, copy_with

import kernels
from bench.plan.case import Case
from kernels import Unavailable, Unsupported

FILES = [f"{name}.py" for name in ("_cupy", *COPIED)]


def lines(code: CodeType) -> set[int]:
    """The lines that have something to execute, without docstrings' and a def's own first line."""
    found = {line for _, _, line in code.co_lines() if line}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= lines(constant)
    return found


@contextlib.contextmanager
def traced(folder: Path) -> Iterator[dict[str, set[int]]]:
    """The lines that are executed in files of this folder, by file name."""
    seen: dict[str, set[int]] = {}

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        path = frame.f_code.co_filename
        if not path.startswith(f"{folder}/"):
            return None
        seen.setdefault(Path(path).name, set()).add(frame.f_lineno)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield seen
    finally:
        sys.settrace(before)


def refused(name: str, precision: str = "float32", activation: str = "relu") -> None:
    with pytest.raises((Unavailable, Unsupported)):
        prepared(Case(6, 5, 9, precision, activation), name=name)


def everything(machine: Machine, helper: Any, folder: Path) -> None:
    """Use the kernels in all the ways that they can be used in, the wrong ones too."""
    for name, activation, precision in DOES:
        if name not in COPIED:
            continue
        case = Case(6, 5, 9, precision, activation)
        step = prepared(case, name=name)
        device: Any = step.device
        start = device.mark(None)
        out = step.launch(step.send(arrays(case).A_in))
        assert device.seconds(start, device.mark(out)) > 0
        device.fence(out)
        step.fetch(out)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(helper, "PIECE_BYTES", 24)
            step.send(arrays(case).A_in)
        device.flush()
        assert device.free_bytes() > 0
        device.state()
        device.joules()
        device.stated(precision)
        for ceiling in (device.product(2, precision), device.copy(64)):
            device.fence(ceiling.launch(None))
        step.close()
        device.release()
        for ceiling in (device.restore, lambda: machine.cupy._core.set_compute_type("float32", 7)):
            ceiling()
        machine.device, machine.limit = 1, 1
        assert device.restore().count(" and ") == 2
        machine.device = 1
        with pytest.raises(RuntimeError, match="its output is on CUDA device 1"):
            device.drain(machine.cupy.empty(1, "float32"))
        device.restore()
        device.spoil(out)
        device.captured(lambda: None).launch(device.stream)
        device.drain(out)
        for number in range(helper.MOST_KEPT + 1):
            device.keep(number, number)
    refused("nvmath_fused", "float32", "tanh")
    refused("nvmath_fused", "float64", "relu")
    precisions, nvmath = test_cupy.TestPrecisions(), test_cupy.TestNvmath()
    trouble = test_cupy.TestUnavailable()
    tests: list[Callable[[pytest.MonkeyPatch], None]] = [
        precisions.test_tf32_that_the_environment_turns_off_is_not_called_tf32,
        precisions.test_bfloat16_without_its_library_says_what_to_install,
        lambda patch: nvmath.test_without_it_the_reason_has_the_line_to_type(machine, patch),
        lambda patch: nvmath.test_one_that_cannot_be_imported_says_why(machine, folder, patch),
        lambda patch: nvmath.test_a_plan_that_fails_is_freed("plan", machine, patch),
        lambda patch: trouble.test_with_a_driver_that_refuses("getDeviceCount", machine, patch),
        trouble.test_without_cupy,
        lambda patch: trouble.test_with_a_cupy_that_cannot_be_imported("lib", folder, patch),
        trouble.test_without_a_driver,
        lambda _: precisions.test_an_old_card_has_none("cupy_matmul", "tf32", machine),
        lambda _: trouble.test_without_such_a_device(0, 0, machine),
    ]
    for test in tests:
        helper.proved.cache_clear()
        with pytest.MonkeyPatch.context() as patch:
            test(patch)


def test_every_line_of_the_gpus_kernels_is_executed(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = Mistake("none", "_cupy", "", "", test_a_line_that_is_not_executed_is_found)
    with traced(tmp_path) as seen:
        copy_with(nothing, tmp_path, monkeypatch)
        everything(machine, sys.modules["kernels._cupy"], tmp_path)
    for file in FILES:
        text = (tmp_path / file).read_text(encoding="utf-8")
        left = lines(compile(text, file, "exec")) - seen[file]
        shown = [f"{file}, line {line}: {text.splitlines()[line - 1]}" for line in sorted(left)]
        assert not shown, "\n".join(shown)
    assert {path.name for path in FOLDER.glob("*cupy*.py")} <= set(FILES)
    assert set(COPIED) <= set(kernels.names())


def test_a_line_that_is_not_executed_is_found(tmp_path: Path) -> None:
    path = tmp_path / "short.py"
    path.write_text("def used(x):\n    if x:\n        return 1\n    return 2\n", encoding="utf-8")
    with traced(tmp_path) as seen:
        scope: dict[str, Any] = {}
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), scope)  # noqa: S102
        assert scope["used"](1) == 1
    assert lines(compile(path.read_text(encoding="utf-8"), "short.py", "exec")) - seen[
        path.name
    ] == {4}
