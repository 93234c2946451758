"""Which wheel for which driver and card, and what .venv lacks of it."""

import platform
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.machine import driver, wheel
from bench.machine.driver import Device, Driver
from bench.machine.wheel import Change, Choice, choose


def machine(version: int | None, *computes: str) -> Driver:
    """A driver that has CUDA `version`, and devices of these compute capabilities."""
    devices = tuple(
        Device(i, f"GPU {i}", f"0000:{i:02x}:00.0", text) for i, text in enumerate(computes)
    )
    return Driver(version, devices, trouble="" if devices else driver.ABSENT)


class TestChoose:
    """GPU.md's rule: CUDA 13 where driver and every card can, else CUDA 12, else none."""

    @pytest.mark.parametrize("version", [11040, 11080, 11999, 12000, 12040, 12080, 12099])
    @pytest.mark.parametrize("compute", ["5.2", "6.1", "7.0", "7.5", "8.9", "9.0", "12.0"])
    def test_before_cuda_13(self, version: int, compute: str) -> None:
        assert choose(machine(version, compute)).wheel == ("cuda12" if version >= 12000 else "none")

    @pytest.mark.parametrize("version", [13000, 13020, 14000])
    @pytest.mark.parametrize(
        ("computes", "chosen"),
        [
            (["5.2"], "cuda12"),  # GTX 980
            (["6.1"], "cuda12"),  # GTX 1080
            (["7.0"], "cuda12"),  # V100: NVRTC 13 rejects sm_70
            (["7.2"], "cuda12"),
            (["7.5"], "cuda13"),  # T4
            (["8.0"], "cuda13"),
            (["8.9"], "cuda13"),  # RTX 4090
            (["9.0"], "cuda13"),  # H100
            (["10.0"], "cuda13"),
            (["12.0"], "cuda13"),
            (["9.0", "9.0"], "cuda13"),
            (["9.0", "6.1"], "cuda12"),  # every one of them has to be able to
        ],
    )
    def test_from_cuda_13_on(self, version: int, computes: list[str], chosen: str) -> None:
        assert choose(machine(version, *computes)).wheel == chosen

    @given(
        version=st.integers(9000, 15000),
        capabilities=st.lists(st.tuples(st.integers(5, 12), st.integers(0, 9)), min_size=1),
        more=st.integers(0, 5000),
    )
    def test_what_holds_for_every_machine(
        self, version: int, capabilities: list[tuple[int, int]], more: int
    ) -> None:
        computes = [f"{major}.{minor}" for major, minor in capabilities]
        chosen = choose(machine(version, *computes)).wheel
        order = ["none", "cuda12", "cuda13"]
        # never CUDA of a later generation than the driver's
        assert order.index(chosen) == 0 or int(chosen[-2:]) <= version // 1000
        # a newer driver never gets less; and a card more never gets more
        assert order.index(choose(machine(version + more, *computes)).wheel) >= order.index(chosen)
        assert order.index(choose(machine(version, *computes[:1])).wheel) >= order.index(chosen)
        # the order of the cards says nothing
        assert choose(machine(version, *computes[::-1])).wheel == chosen
        assert (chosen == "cuda13") == (version >= 13000 and min(capabilities) >= (7, 5))
        assert (chosen == "none") == (version < 12000)

    def test_why_is_said_in_one_line(self) -> None:
        said = {
            "none, absent": choose(machine(None)),
            "none, old": choose(machine(11040, "8.6")),
            "cuda12, driver": choose(machine(12080, "9.0", "9.0")),
            "cuda12, card": choose(machine(13000, "9.0", "7.0")),
            "cuda13": choose(machine(13000, "9.0")),
        }
        assert {name: choice.why for name, choice in said.items()} == {
            "none, absent": "no NVIDIA driver (libcuda.so.1)",
            "none, old": "the driver has CUDA 11.4: driver 525.60.13 or newer is needed",
            "cuda12, driver": "GPU 0 (9.0), GPU 1 (9.0); the driver has CUDA 12.8, and CUDA 13"
            " needs 580",
            "cuda12, card": "GPU 0 (9.0), GPU 1 (7.0); CUDA 13 is for compute capability 7.5 and"
            " newer",
            "cuda13": "GPU 0 (9.0); the driver has CUDA 13.0",
        }
        assert not any("\n" in choice.why for choice in said.values())

    def test_a_driver_in_trouble_is_the_reason(self) -> None:
        mismatch = Driver(13020, (), 803, "cuInit: CUDA error 803, SYSTEM_DRIVER_MISMATCH")
        assert choose(mismatch) == Choice("none", mismatch.trouble)
        crashed = Driver(trouble="the NVIDIA driver, asked for its devices, was killed by SIGSEGV")
        assert choose(crashed, rocm=True) == Choice("none", crashed.trouble)

    def test_an_amd_gpu_is_named(self) -> None:
        choice = choose(machine(None), rocm=True)
        assert choice.wheel == "none"
        assert "no NVIDIA driver" in choice.why
        assert "AMD" in choice.why
        assert "cupy-rocm-7-0" in choice.why

    def test_where_cupy_has_no_wheel(self) -> None:
        choice = choose(machine(13000, "9.0"), "ppc64le")
        assert choice == Choice("none", "CuPy has no wheel for ppc64le: x86_64 and aarch64 only")
        assert choose(machine(13000, "9.0"), "aarch64").wheel == "cuda13"


LOCKS = {
    "test": "numpy==2.4.6 \\\ncupy-cuda13x==14.2.0\nnvidia-nvrtc-cu12==12.9\n",
    "bench": "numpy==2.4.6 ; python < '3.12' \\\n    --hash=x\nnumpy==2.5.5 \\\npip-x==1\n",
    "cuda12": "cupy-cuda12x==14.2.0 \\\ncuda-toolkit==12.9 ; linux\nnvidia-cublas-cu12==12.9\n"
    "nvidia-nvrtc-cu12==12.9\n"
    "numpy==2.4.6 ; python < '3.12'\nnumpy==2.5.5\npip-x==1\n",
    "cuda13": "cupy-cuda13x==14.2.0 \\\n    # via x\ncuda-toolkit==13.5 ; linux\n"
    "nvidia-cublas==13\n",
    "torch": "torch==2.15\nnvidia-cublas==13\n",
}
WITH_12 = {
    "cupy-cuda12x": "14.2.0",
    "cuda-toolkit": "12.9",
    "nvidia-cublas-cu12": "12.9",
    "nvidia-nvrtc-cu12": "12.9",
}
WITH_13 = {"cupy-cuda13x": "14.2.0", "cuda-toolkit": "13.5", "nvidia-cublas": "13"}
PLAIN = {"numpy": "2.4.6", "pip-x": "1", "cupy-xarray": "0.1"}


class TestTodo:
    """What make has to do to the environment: what to install, what to remove first."""

    @pytest.mark.parametrize(
        ("chosen", "installed", "words"),
        [
            ("none", {}, []),
            ("cuda12", WITH_12, []),
            ("cuda13", WITH_13, []),
            ("cuda13", {}, ["cuda13"]),
            ("cuda13", WITH_12, ["cuda13", "cupy-cuda12x", "nvidia-cublas-cu12"]),
            ("cuda12", WITH_13, ["cuda12", "cupy-cuda13x", "nvidia-cublas"]),
            ("none", WITH_12, ["none", "cuda-toolkit", "cupy-cuda12x", "nvidia-cublas-cu12"]),
            # libraries without their CuPy take room only; the tests' own are left to them
            ("cuda13", WITH_13 | {"nvidia-cublas-cu12": "12.9"}, []),
            ("none", {"nvidia-cublas": "13"}, ["none", "nvidia-cublas"]),
            ("none", {"nvidia-nvrtc-cu12": "12.9"}, []),
            # PyTorch's own are left to it
            ("none", {"torch": "2.15", "nvidia-cublas": "13"}, []),
            ("cuda12", WITH_13 | {"torch": "2.15"}, ["cuda12", "cupy-cuda13x"]),
            # older than the lock; a library gone; two wheels; some that this project never adds
            ("cuda13", WITH_13 | {"cupy-cuda13x": "13.6.0"}, ["cuda13"]),
            ("cuda13", {"cupy-cuda13x": "14.2.0"}, ["cuda13"]),
            ("cuda13", WITH_13 | {"cupy-cuda12x": "14.2.0"}, ["cuda13", "cupy-cuda12x"]),
            ("cuda13", WITH_13 | {"cupy": "14.2.0"}, ["cuda13", "cupy"]),
            ("cuda13", WITH_13 | {"cupy-rocm-7-0": "14"}, ["cuda13", "cupy-rocm-7-0"]),
        ],
    )
    def test_each_state(self, chosen: str, installed: dict[str, str], words: list[str]) -> None:
        expected = Change(words[0], tuple(words[1:])) if words else None
        assert wheel.todo(chosen, PLAIN | installed, LOCKS) == expected

    @pytest.mark.parametrize("chosen", ["none", "cuda12", "cuda13"])
    @pytest.mark.parametrize("before", [{}, WITH_12, WITH_13, WITH_12 | WITH_13])
    def test_once_it_is_done_there_is_nothing_to_do(
        self, chosen: str, before: dict[str, str]
    ) -> None:
        after = PLAIN | before
        change = wheel.todo(chosen, after, LOCKS)
        for name in change.spare if change else ():
            del after[name]
        after |= wheel.needed(chosen, LOCKS)
        assert wheel.todo(chosen, after, LOCKS) is None
        assert sum(name.startswith("cupy-cuda") for name in after) == (chosen != "none")
        assert after.items() >= PLAIN.items()

    def test_a_lock_with_a_cupy_of_its_own_is_not_mixed_with_another(self) -> None:
        assert wheel.beside(PLAIN | WITH_12, LOCKS["cuda13"]) == ["cupy-cuda12x"]
        assert wheel.beside(PLAIN | WITH_13, LOCKS["cuda13"]) == []
        assert wheel.beside(PLAIN | WITH_12, LOCKS["bench"]) == []

    def test_the_locks_bring_cupy_and_just_what_it_needs(self) -> None:
        libraries = {
            "cuda12": {"nvidia-cublas-cu12", "nvidia-cuda-nvrtc-cu12", "nvidia-cuda-runtime-cu12"},
            "cuda13": {"nvidia-cublas", "nvidia-cuda-nvrtc", "nvidia-cuda-runtime"},
        }
        locks = wheel.read_locks()
        for name, files in libraries.items():
            found = wheel.needed(name, locks)
            common = {f"cupy-{name}x", "cuda-pathfinder", "cuda-toolkit", "nvidia-ml-py"}
            common.add("ml-dtypes")
            assert set(found) - common <= files
            assert files < set(found)
            assert f"cupy-{name}x" in found
            assert found["cuda-toolkit"].startswith(name[-2:])
            assert "--hash=sha256:" in locks[name]
            assert "https://pypi" not in locks[name]

    def test_cupy_and_pytorch_agree_on_nvidias_libraries(self) -> None:
        locks = wheel.read_locks()
        cupy, torch = wheel.locked(locks["cuda13"]), wheel.locked(locks["torch"])
        common = cupy.keys() & torch.keys()
        assert "nvidia-cublas" in common
        assert all(cupy[name] == torch[name] for name in common)

    def test_numpy_is_the_environments_own(self) -> None:
        locks = wheel.read_locks()
        for name in ("cuda12", "cuda13"):
            pinned = {line.split(" ;")[0] for line in locks[name].splitlines() if "numpy==" in line}
            assert pinned
            assert pinned <= {line.split(" ;")[0] for line in locks["bench"].splitlines()}


class TestPlan:
    """What a word means on this machine, and the line that says so."""

    @pytest.fixture(autouse=True)
    def a_machine(self, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
        monkeypatch.setattr(wheel, "ask", lambda: machine(13000, "9.0"))
        monkeypatch.setattr(wheel, "installed", lambda: dict(PLAIN))
        monkeypatch.setattr(wheel, "read_locks", lambda: LOCKS)
        monkeypatch.setattr(wheel, "ROCM", Path("/nowhere/kfd"))
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.setattr(platform, "machine", lambda: "x86_64")
        return monkeypatch

    def test_one_line_says_what_is_added_why_and_how_large_it_is(self) -> None:
        choice, change = wheel.plan("auto")
        assert change == Change("cuda13", ())
        assert wheel.line(choice, change) == (
            "GPU: cuda13; GPU 0 (9.0); the driver has CUDA 13.0: adding cupy-cuda13x and its CUDA"
            " libraries to .venv, about 580 MB to download"
        )

    def test_without_a_driver_it_says_why_and_leaves_all_as_it_is(
        self, a_machine: pytest.MonkeyPatch
    ) -> None:
        a_machine.setattr(wheel, "ask", lambda: machine(None))
        a_machine.setattr(wheel, "installed", lambda: PLAIN | WITH_13)
        choice, change = wheel.plan("auto")
        assert change is None
        assert wheel.line(choice, change) == "GPU: none; no NVIDIA driver (libcuda.so.1)"

    def test_none_takes_cupy_out(self, a_machine: pytest.MonkeyPatch) -> None:
        a_machine.setattr(wheel, "installed", lambda: PLAIN | WITH_13)
        choice, change = wheel.plan("none")
        assert change == Change("none", ("cuda-toolkit", "cupy-cuda13x", "nvidia-cublas"))
        assert "removing cupy-cuda13x and its CUDA libraries" in wheel.line(choice, change)

    def test_what_goes_is_named(self, a_machine: pytest.MonkeyPatch) -> None:
        a_machine.setattr(wheel, "installed", lambda: PLAIN | WITH_13)
        choice, change = wheel.plan("cuda12")
        assert change == Change("cuda12", ("cupy-cuda13x", "nvidia-cublas"))
        said = wheel.line(choice, change)
        assert said.startswith("GPU: cuda12; as told: adding cupy-cuda12x")
        assert said.endswith("about 810 MB to download, in place of cupy-cuda13x")

    def test_a_wheel_for_another_machine_is_refused(self, a_machine: pytest.MonkeyPatch) -> None:
        a_machine.setattr(sys, "platform", "darwin")
        with pytest.raises(
            ValueError, match="CuPy has wheels for Linux on x86_64 and aarch64 only"
        ):
            wheel.plan("cuda13")
        assert wheel.plan("none") == (Choice("none", "as told"), None)

    def test_installed_packages_have_the_names_of_lock_files(
        self, a_machine: pytest.MonkeyPatch
    ) -> None:
        a_machine.undo()
        found = wheel.installed()
        assert {"numpy", "pytest-benchmark", "tomli-w"} <= set(found)
        assert all(name == name.lower() and "_" not in name for name in found)
