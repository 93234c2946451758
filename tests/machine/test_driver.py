"""What NVIDIA's driver says, asked of a stub of it; and what goes wrong at each call."""

import ctypes
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bench import ROOT
from bench.data import machine
from bench.data.machine import Gpus, Machine
from bench.machine import driver, survey
from bench.machine.driver import Device, Driver

CALLS = (
    "cuDriverGetVersion",
    "cuInit",
    "cuDeviceGetCount",
    "cuDeviceGet",
    "cuDeviceGetName",
    "cuDeviceGetPCIBusId",
)
"""Without an answer to these there is no device."""


@pytest.fixture
def here(stubs: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The stub, loaded into this process; its answers are set in the environment."""
    monkeypatch.setattr(driver, "LIBRARIES", (str(stubs / "libcuda.so.1"),))
    return monkeypatch


def test_without_a_driver_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "LIBRARIES", ("libno-such-driver.so.1", "/nowhere/libcuda.so.1"))
    found = driver.ask_here()
    assert found == Driver(trouble="no NVIDIA driver (libcuda.so.1)")
    assert found.release is None


def test_macos_says_it_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise OSError(f"dlopen({name}, 0x0006): tried: '{name}' (no such file)")

    monkeypatch.setattr(ctypes, "CDLL", absent)
    assert driver.ask_here().trouble == driver.ABSENT


def test_wsl_has_it_in_a_folder_of_its_own(stubs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    libraries = ("libno-such-driver.so.1", str(stubs / "libcuda.so.1"))
    monkeypatch.setattr(driver, "LIBRARIES", libraries)
    assert driver.ask_here().version == 13000


def test_a_library_that_cannot_be_loaded_is_another_trouble_than_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "libcuda.so.1").write_text("not a library")
    monkeypatch.setattr(driver, "LIBRARIES", (str(tmp_path / "libcuda.so.1"),))
    found = driver.ask_here()
    assert found.version is None
    assert found.trouble.startswith("the NVIDIA driver's library can't be loaded: ")


def test_each_device_has_all_that_is_asked(here: pytest.MonkeyPatch) -> None:
    here.setenv("STUB_VERSION", "12080")
    here.setenv("STUB_DEVICES", "2")
    here.setenv("STUB_NAMES", "NVIDIA H100 80GB HBM3|Tesla V100")
    here.setenv("STUB_COMPUTE", "9.0|7.0")
    found = driver.ask_here()
    assert (found.version, found.release, found.status, found.trouble) == (12080, "12.8", 0, "")
    assert found.devices == (
        Device(
            index=0,
            name="NVIDIA H100 80GB HBM3",
            bus="0000:17:00.0",
            compute="9.0",
            memory_bytes=2**30,
            clock_hz=1_980_000_000,
            multiprocessors=132,
            memory_clock_hz=2_619_000_000,
            memory_bus_bits=5120,
            l2_bytes=50 * 2**20,
            uuid="GPU-a0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a0a0",
        ),
        Device(
            index=1,
            name="Tesla V100",
            bus="0000:18:00.0",
            compute="7.0",
            memory_bytes=2 * 2**30,
            clock_hz=1_980_000_000,
            multiprocessors=132,
            memory_clock_hz=2_619_000_000,
            memory_bus_bits=5120,
            l2_bytes=50 * 2**20,
            uuid="GPU-a1a1a1a1-a1a1-a1a1-a1a1-a1a1a1a1a1a1",
        ),
    )


@pytest.mark.parametrize(
    ("version", "release"), [(11040, "11.4"), (12000, "12.0"), (12080, "12.8"), (13020, "13.2")]
)
def test_the_version_for_people(version: int, release: str) -> None:
    assert driver.release(version) == release


def test_capabilities_compare_as_numbers() -> None:
    capabilities = [Device(0, "", "", text).capability for text in ("10.0", "7.5", "9.0", "12.1")]
    assert sorted(capabilities) == [(7, 5), (9, 0), (10, 0), (12, 1)]


def test_a_name_in_other_bytes_than_utf8_is_kept_readable(here: pytest.MonkeyPatch) -> None:
    here.setenv("STUB_NAMES", b"GPU \xff\xfe".decode("utf-8", "surrogateescape"))
    assert driver.ask_here().devices[0].name == "GPU \ufffd\ufffd"


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_fails_is_named_with_its_error(call: str, here: pytest.MonkeyPatch) -> None:
    here.setenv("STUB_FAILS", f"{call}=999")
    found = driver.ask_here()
    assert found.trouble == f"{call}: CUDA error 999, CUDA_ERROR_UNKNOWN"
    assert (found.status, found.devices) == (999, ())
    assert found.version == (None if call == "cuDriverGetVersion" else 13000)


@pytest.mark.parametrize("call", ["cuDeviceTotalMem_v2", "cuDeviceGetAttribute", "cuDeviceGetUuid"])
def test_what_a_device_does_not_tell_is_unknown(call: str, here: pytest.MonkeyPatch) -> None:
    here.setenv("STUB_FAILS", f"{call}=1")
    found = driver.ask_here()
    if call == "cuDeviceGetAttribute":  # the compute capability is one
        assert found.trouble == f"{call}: CUDA error 1, which has no name here"
    else:
        (device,) = found.devices
        assert (device.memory_bytes is None) == (call == "cuDeviceTotalMem_v2")
        assert (device.uuid == "") == (call == "cuDeviceGetUuid")


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (100, "CUDA_ERROR_NO_DEVICE"),
        (803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"),
        (34, "CUDA_ERROR_STUB_LIBRARY"),  # the driver doesn't know its name, cuda.h does
        (12345, "which has no name here"),
    ],
)
def test_an_error_has_its_number_and_its_name(
    status: int, name: str, here: pytest.MonkeyPatch
) -> None:
    here.setenv("STUB_FAILS", f"cuInit={status}")
    found = driver.ask_here()
    assert (found.status, found.trouble) == (status, f"cuInit: CUDA error {status}, {name}")


def test_a_driver_without_a_device(here: pytest.MonkeyPatch) -> None:
    here.setenv("STUB_DEVICES", "0")
    found = driver.ask_here()
    assert (found.version, found.devices, found.status) == (13000, (), driver.NO_DEVICE)
    assert "CUDA_ERROR_NO_DEVICE" in found.trouble


class TestAProcessOfItsOwn:
    """`ask`, which a driver can't take down or hold up."""

    def test_it_says_the_same(self, stub_driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(driver, "LIBRARIES", (str(stub_driver / "libcuda.so.1"),))
        monkeypatch.setenv("STUB_DEVICES", "2")
        assert driver.ask() == driver.ask_here()

    def test_a_crash(self, stub_driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STUB_CRASHES", "cuInit")
        said = "the NVIDIA driver, asked for its devices, was killed by SIGSEGV"
        assert driver.ask() == Driver(trouble=said)

    def test_a_hang(self, stub_driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STUB_HANGS", "cuInit")
        assert driver.ask(0.5) == Driver(trouble="the NVIDIA driver gave no answer in 0.5 s")


def test_machine_json_holds_it_and_is_read_back(here: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = driver.record(driver.ask_here())
    assert found["driver"] == "13.0"
    assert found["devices"][0]["compute"] == "9.0"
    (tmp_path / "machine.json").write_text(json.dumps({"gpus": found}))
    assert json.loads(msgspec.json.encode(machine.read(tmp_path / "machine.json").gpus)) == found


def test_a_run_is_told_apart_by_its_gpus(here: pytest.MonkeyPatch) -> None:
    gpus = msgspec.convert(driver.record(driver.ask_here()), Gpus)
    assert survey.identity(Machine(gpus=gpus))["GPUs"] == "Stub GPU at 0000:17:00.0"


def test_it_needs_the_standard_library_alone() -> None:
    """It is asked before anything is installed: -S leaves site-packages out."""
    for module in ("bench.machine.driver", "bench.machine.wheel", "bench.machine.packages"):
        command = [sys.executable, "-S", "-c", f"import {module}"]
        subprocess.run(command, cwd=ROOT, check=True)
