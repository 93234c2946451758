"""What the tests of the GPU's kernels are worth: each mistake here is caught by the test it names.

A copy of the kernel files gets one mistake, and the named test of tests/test_cupy.py, which passes
on the files as they are, has to fail on the copy.
"""

import importlib.util
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import test_cupy
from cupy_double import Machine

import kernels

FOLDER = Path(kernels.__file__).parent

COPIED = [name for name in test_cupy.NAMES if name != "nvmath_graph"]
"""Kernels that a copy of the folder has whole: nvmath_graph builds on another one."""


@dataclass(frozen=True)
class Mistake:
    """In `file`, `new` instead of `old`, and `also`; `test` is to find it in the kernel `name`."""

    what: str
    file: str
    old: str
    new: str
    test: Callable[..., None]
    name: str = "cupy_matmul"
    also: tuple[str, str] = ("", "")


def in_the_helper() -> list[Mistake]:
    """Mistakes in kernels/_cupy.py, which all kernels share."""
    found = []
    for name in COPIED:
        found += [
            Mistake(
                "the device's fence removed",
                "_cupy",
                "    def fence(self, out: Any) -> None:\n        self.stream.synchronize()",
                "    def fence(self, out: Any) -> None:\n        pass",
                a_visit,
                name,
            ),
            Mistake(
                "a mark is not waited for",
                "_cupy",
                "        stop.synchronize()\n",
                "",
                test_cupy.TestAnswers.test_it_is_there_at_the_time_of_a_later_mark,
                name,
            ),
            Mistake(
                "events on another stream",
                "_cupy",
                "event.record(self.stream)",
                "event.record(self.cupy.cuda.Stream(non_blocking=True))",
                test_cupy.TestClock.test_marks_around_launches_are_exactly_the_devices_work_apart,
                name,
            ),
            Mistake(
                "milliseconds taken for seconds",
                "_cupy",
                "return milliseconds / 1e3",
                "return milliseconds",
                test_cupy.TestClock.test_marks_around_launches_are_exactly_the_devices_work_apart,
                name,
            ),
            Mistake(
                "memory that is not page-locked",
                "_cupy",
                "cupyx.empty_pinned(shape, device_dtype(gpu, precision))",
                "np.empty(shape, device_dtype(gpu, precision))",
                test_cupy.TestTransfers.test_each_crosses_the_bus_once,
                name,
            ),
            Mistake(
                "an output fetched into memory that is not page-locked",
                "_cupy",
                "self._empty_pinned(out.shape, out.dtype)",
                "np.empty(out.shape, out.dtype)",
                test_cupy.TestTransfers.test_each_crosses_the_bus_once,
                name,
            ),
        ]
        if name == "nvmath_fused":
            continue
        found += [
            Mistake(
                "work on the null stream",
                "_cupy",
                "        self.stream.__enter__()\n",
                "",
                test_cupy.TestAnswers.test_nothing_is_queued_on_the_null_stream,
                name,
            ),
            Mistake(
                "the wait for the last input's copy removed",
                "_cupy",
                "        self._has_left.synchronize()  # the last input may still be on its way\n",
                "",
                test_cupy.TestTransfers.test_two_inputs_sent_in_a_row_are_two,
                name,
            ),
            Mistake(
                "the copy's event not recorded",
                "_cupy",
                "        self._has_left.record(self._gpu.stream)\n",
                "",
                test_cupy.TestTransfers.test_two_inputs_sent_in_a_row_are_two,
                name,
            ),
            Mistake(
                "TF32 left on for the next cell",
                "_cupy",
                "        finally:\n            full_float32(cupy)",
                "        finally:\n            pass",
                test_cupy.TestPrecisions.test_tf32_is_turned_on_for_its_own_products_only,
                name,
            ),
            Mistake(
                "an allocation inside the product",
                "_cupy",
                "        cupy.matmul(A_in, W, out=out)\n\n    def tf32",
                "        cupy.add(cupy.matmul(A_in, W), 0, out=out)\n\n    def tf32",
                test_cupy.TestAnswers.test_a_launch_allocates_nothing_and_moves_nothing,
                name,
            ),
        ]
    return [
        *found,
        Mistake(
            "CUPY_TF32 of the environment believed",
            "_cupy",
            "        full_float32(cupy)\n        self._types",
            "        self._types",
            test_cupy.TestPrecisions.test_float32_is_not_cut_off_to_tf32,
        ),
        Mistake(
            "an input returned to before it has been fetched",
            "_cupy",
            "host: NDArray[Any] = self._empty_pinned(out.shape, out.dtype)",
            "self._h = host = getattr(self, '_h', self._empty_pinned(out.shape, out.dtype))",
            test_cupy.TestTransfers.test_of_two_outputs_the_first_stays_as_it_was_fetched,
        ),
        Mistake(
            "half of the cache flushed",
            "_cupy",
            "memset_async(0, buffer.nbytes,",
            "memset_async(0, buffer.nbytes // 2,",
            test_cupy.TestDevice.test_flush_overwrites_as_much_as_the_l2_cache_holds_in_order,
        ),
        Mistake(
            "the cache flushed on another stream",
            "_cupy",
            "buffer.nbytes, self.stream)",
            "buffer.nbytes, self.cupy.cuda.Stream(non_blocking=True))",
            test_cupy.TestDevice.test_flush_overwrites_as_much_as_the_l2_cache_holds_in_order,
        ),
    ]


def in_each_kernel() -> list[Mistake]:
    """Mistakes in the kernels' own files."""
    found = []
    for name in ("cupy_matmul", "cupy_fused"):
        found += [
            Mistake(
                "a transfer inside the launch, of the input",
                name,
                "multiply(A_in, W, out)",
                "multiply(bus.send(A_in) if type(A_in) is np.ndarray else A_in, W, out)",
                test_cupy.TestAnswers.test_a_launch_allocates_nothing_and_moves_nothing,
                name,
                also=("send=bus.send", "send=np.asarray"),
            ),
            Mistake(
                "a transfer inside the launch, of the output",
                name,
                "        return out\n",
                "        return bus.fetch(out)\n",
                test_cupy.TestAnswers.test_a_launch_allocates_nothing_and_moves_nothing,
                name,
                also=("fetch=bus.fetch", "fetch=np.asarray"),
            ),
            Mistake(
                "the bias along the wrong axis",
                name,
                "b = cupy.asarray(layer.b, dtype",
                "b = cupy.asarray(layer.b.T, dtype",
                test_cupy.TestAnswers.test_each_unit_has_its_own_bias_even_where_there_are_as_many_examples,
                name,
            ),
        ]
    found += [
        Mistake(
            "a transfer inside the launch, of the input",
            "nvmath_fused",
            "call.execute(stream=stream)",
            "bus.send_into(x, np.zeros(x.shape, x.dtype)); call.execute(stream=stream)",
            test_cupy.TestAnswers.test_a_launch_allocates_nothing_and_moves_nothing,
            "nvmath_fused",
        ),
        Mistake(
            "a transfer inside the launch, of the output",
            "nvmath_fused",
            "        return out\n",
            "        return bus.fetch(out)\n",
            test_cupy.TestAnswers.test_a_launch_allocates_nothing_and_moves_nothing,
            "nvmath_fused",
            also=("fetch=bus.fetch", "fetch=np.asarray"),
        ),
        Mistake(
            "the bias along the wrong axis",
            "nvmath_fused",
            "Matmul(W.T, x.T, c=out.T,",
            "Matmul(x, W, c=out,",
            test_cupy.TestAnswers.test_each_unit_has_its_own_bias_even_where_there_are_as_many_examples,
            "nvmath_fused",
        ),
        Mistake(
            "the random numbers not put back",
            "nvmath_fused",
            "random.setstate(shuffled)",
            "pass",
            test_cupy.TestNvmath.test_tuning_leaves_pythons_random_numbers_alone,
        ),
        Mistake(
            "the plan not freed",
            "nvmath_fused",
            ", close=call.free)",
            ")",
            test_cupy.TestNvmath.test_close_frees_the_plan,
        ),
    ]
    for name in COPIED:
        found += [
            Mistake(
                "the fence at the end of prepare removed",
                name,
                "gpu.fence(None)",
                "pass",
                test_cupy.TestAnswers.test_a_layer_is_on_the_device_when_prepare_returns,
                name,
            ),
            Mistake(
                "an allocation inside the launch",
                name,
                "        return out\n",
                "        return cupy.empty(out.shape, dtype)\n",
                test_cupy.TestAnswers.test_a_launch_allocates_nothing_and_moves_nothing,
                name,
            ),
            Mistake(
                "a cast",
                name,
                "W = cupy.asarray(layer.W, dtype=dtype",
                'W = cupy.asarray(layer.W, dtype="float64"',
                right_in_float32,
                name,
            ),
            Mistake(
                "W in the other order, so that every launch copies it",
                name,
                ', order="C")',
                ")",
                test_cupy.TestAnswers.test_layers_that_are_not_contiguous_are_sent_in_c_order,
                name,
            ),
        ]
    return [m for m in found if not (m.name == "nvmath_fused" and "other order" in m.what)]


def a_visit(self: Any, name: str, machine: Machine) -> None:
    """The harness itself finds it, without any test's help."""
    test_cupy.TestThroughTheHarness().test_a_visit_from_open_to_close(name, "warm", machine)


def right_in_float32(self: Any, name: str) -> None:
    test_cupy.TestAnswers().test_it_is_right_after_a_fence(name, "relu", "float32", (6, 5, 9))


MISTAKES = [*in_the_helper(), *in_each_kernel()]


def check(mistake: Mistake, machine: Machine) -> None:
    """Run the test that the mistake names."""
    wanted = mistake.test.__code__.co_varnames[1 : mistake.test.__code__.co_argcount]
    given = {"name": mistake.name, "machine": machine}
    mistake.test(None, **{argument: given[argument] for argument in wanted})


@pytest.mark.parametrize(
    "mistake", MISTAKES, ids=[f"{m.name}: {m.what}: {m.test.__name__}" for m in MISTAKES]
)
def test_a_mistake_is_found(
    mistake: Mistake, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_with(mistake, tmp_path, monkeypatch)
    with pytest.raises((Exception, pytest.fail.Exception)) as caught:
        check(mistake, machine)
    slips = (NameError, SyntaxError, ImportError, TypeError)  # of the mistake itself, or of a test
    assert not isinstance(caught.value, slips), caught.value


@pytest.mark.parametrize(
    "mistake",
    {(m.name, m.test): replace(m, old="", also=("", "")) for m in MISTAKES}.values(),
    ids=lambda m: f"{m.name}: {m.test.__name__}",
)
def test_the_copy_itself_is_none(
    mistake: Mistake, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_with(mistake, tmp_path, monkeypatch)
    check(mistake, machine)


def copy_with(mistake: Mistake, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on `kernels` and its helper are a copy with the mistake."""
    for path in FOLDER.glob("*.py"):
        shutil.copy(path, folder)
    path = folder / f"{mistake.file}.py"
    text = path.read_text(encoding="utf-8")
    for old, new in ((mistake.old, mistake.new), mistake.also):
        if old:
            assert text.count(old) == 1, f"{mistake.file}.py has {old!r} {text.count(old)} times"
            text = text.replace(old, new)
    path.write_text(f"{text}\nimport numpy as np\n", encoding="utf-8")
    load = kernels.load
    monkeypatch.setattr(kernels, "load", lambda name: load(str(folder / f"{name}.py")))
    spec = importlib.util.spec_from_file_location("kernels._cupy", folder / "_cupy.py")
    assert spec is not None
    assert spec.loader is not None
    helper = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "kernels._cupy", helper)
    spec.loader.exec_module(helper)
