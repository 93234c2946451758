"""Processes that count: what they find of planted work, and what they say where they can't."""

import ctypes
import errno
import math
import mmap
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from kernel_sides import a_side

from bench.count import callgrind, change, counting, events, perf, sources
from bench.count.events import Counted, Line, Started, Task, Uncounted
from bench.count.sources import Nothing, Source
from bench.machine import survey
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.worker.environment import environment

FLAGS = survey._cpu().vector_flags
VALGRIND = sources._valgrind(set(FLAGS), "not asked")

HEAD = '"""Planted."""\nimport numpy as np\n\nfrom kernels import Step\n\n\n'
DOT = """def prepare(layer, batch, device=0):
    W, b = layer.W, layer.b
    out = np.empty((batch, layer.n_units), W.dtype)

    def launch(A_in):
        for j in range(W.shape[1]):
            out[:, j] = np.dot(A_in, W[:, j])
        np.add(out, b, out=out)
        return np.maximum(out, 0, out=out)

    return Step(launch)
"""
LOOPS = """def prepare(layer, batch, device=0):
    W, b = layer.W.T.tolist(), layer.b[0].tolist()

    def launch(A_in):
        out = []
        for row in A_in.tolist():
            for w, c in zip(W, b):
                z = c
                for x, v in zip(row, w):
                    z += x * v
                out.append(z if z > 0 else 0.0)
        return out

    return Step(launch, fetch=lambda out: np.array(out, "f4").reshape(batch, -1))
"""
MATMUL = """def prepare(layer, batch, device=0):
    def launch(A_in):
        return np.maximum(A_in @ layer.W + layer.b, 0)
    return Step(launch)
"""
BASES = {"dots": DOT, "loops": LOOPS, "matmuls": MATMUL}
PLANTED = {
    "one_unit_in_fifty_twice": ("dots", "range(W.shape[1])", "[*range(W.shape[1]), 0]"),
    "a_statement_more": ("loops", "z += x * v", "z += x * v; y = z"),
    "a_copy": ("matmuls", "A_in @ layer.W", "A_in @ layer.W.copy()"),
    "transposed": ("matmuls", "A_in @ layer.W", "A_in @ np.ascontiguousarray(layer.W.T).T"),
}
DIES = """import ctypes, mmap

def prepare(layer, batch, device=0):
    page = mmap.mmap(-1, 4096, prot=7)
    page.write(bytes.fromhex("62f17c4858c0c3"))  # vaddps zmm0, zmm0, zmm0; ret
    call = ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    def launch(A_in, page=page):
        call()
        return np.maximum(A_in @ layer.W + layer.b, 0)
    return Step(launch)
"""


def planted(name: str) -> str:
    base, before, after = PLANTED[name]
    assert before in BASES[base]
    return BASES[base].replace(before, after)


def the_cpus_own() -> Source:
    found = sources.find(FLAGS)
    if not isinstance(found, Source) or found.kind != "perf":
        pytest.skip("needs counters of the CPU's own, which a virtual machine often lacks")
    return found


def valgrind() -> Source:
    if isinstance(VALGRIND, Nothing):
        pytest.skip(f"needs Valgrind (apt install valgrind): {VALGRIND.reason}")
    return VALGRIND


@pytest.mark.parametrize("source", [valgrind, the_cpus_own])
def test_planted_work_is_found_and_what_is_the_same_is_equal(
    source: Callable[[], Source], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One unit in fifty twice, a statement more, a copy, a transposed W: each by the kernel's own
    count; and one that Valgrind doesn't know an instruction of, with the reason.
    """
    found_by = source()
    (here := tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(here))
    dies = found_by.kind == "callgrind" and platform.machine() == "x86_64"
    files = BASES | {name: planted(name) for name in PLANTED}
    files |= {"dies": DIES} if dies else {}
    kernels = {name: HEAD + text for name, text in files.items()}
    base, head = (a_side(tmp_path, name, **kernels) for name in ("base", "head"))
    cells = [Cell(name, Case(50, 50, 1, "float32", "relu")) for name in kernels]
    places = [counting.Where(side.name, side.folder) for side in (base, head)]
    deadline = time.monotonic() + 300
    (counts,) = counting.count(cells, places[:1], found_by, deadline)
    by_name = {cell.kernel: found for cell, found in counts.processes.items()}
    (again,) = counting.count(
        [cell for cell in cells if cell.kernel == "matmuls"], places[1:], found_by, deadline
    )
    for cell, others in again.processes.items():  # another process, and another folder
        found = change.change(by_name[cell.kernel], others)
        assert found is not None
        assert abs(found.log_ratio) < math.log(1.005), cell.kernel
    for name, (base_name, *_) in PLANTED.items():
        found = change.change(by_name[base_name] * 2, by_name[name] * 2)
        assert found is not None
        assert found.level() == "more", name
    if dies:
        (reason,) = (why for cell, why in counts.reasons.items() if cell.kernel == "dies")
        assert reason.startswith("Valgrind does not know an instruction that it uses (0x62 0xF1")
    assert {of["Python"] for of in counts.facts.values()} == {platform.python_version()}
    assert not any(here.iterdir())  # where the files were


def counted_alone(folder: Path, body: str, source: str = "fake") -> list[Line]:
    """What a process says of a kernel: with a counter that counts nothing, without Valgrind."""
    side = a_side(folder, "side", mine=HEAD + body)
    task = Task("perf" if source == "perf" else "callgrind", "mine", CASES, 0)
    (folder / events.TASK).write_bytes(msgspec.json.encode(task))
    script = """
import sys
from pathlib import Path
from types import SimpleNamespace
from bench.count import child
from bench.count.events import Events
class Fake:
    begin = end = lambda self: None
    def count(self, work):
        work()
        return Events(1000.0)
if sys.argv[2] == "fake":
    child.COUNTERS["callgrind"] = lambda folder: Fake()
child.watch()
child.main(Path(sys.argv[1]))
"""
    command = [sys.executable, "-P", "-c", script, str(folder), source]
    subprocess.run(command, env=environment(1, side.folder), check=True)
    lines = (folder / events.FOUND).read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Line) for line in lines]


CASES = (Case(4, 3, 2, "float32", "relu"), Case(6, 3, 2, "float32", "relu"))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("import os\n        os.waitpid(os.fork() or os._exit(0), 0)", "it starts processes"),
        ("import subprocess\n        subprocess.run(['true'])", "it starts processes"),
        (
            "import threading as t\n        t.Thread(target=sum, args=([1],)).start()",
            "it works in threads: what they do depends on how they meet",
        ),
        ("raise ValueError('on purpose')", "ValueError: on purpose"),
    ],
)
def test_a_kernel_whose_work_is_elsewhere_has_no_count_and_a_reason(
    more: str, words: str, tmp_path: Path
) -> None:
    body = MATMUL.replace("        return", f"        {more}\n        return")
    first, *lines = counted_alone(tmp_path, body)
    assert isinstance(first, Started)
    assert [line.place for line in lines if isinstance(line, Uncounted)] == [0, 1]
    for line in lines:
        assert isinstance(line, Uncounted)
        assert re.match(words, line.reason), line.reason


def test_a_kernel_on_a_device_of_its_own_has_no_count(tmp_path: Path) -> None:
    body = MATMUL.replace(
        "return Step(launch)",
        "from types import SimpleNamespace\n    return Step(launch, device="
        "SimpleNamespace(name='board:0', fence=lambda out: None))",
    )
    _, line, _ = counted_alone(tmp_path, body)
    assert isinstance(line, Uncounted)
    assert line.reason.startswith("it computes on board:0, and only this machine's own")


def test_a_case_is_counted_several_times_without_what_counting_takes(tmp_path: Path) -> None:
    _, line, _ = counted_alone(tmp_path, MATMUL)
    assert isinstance(line, Counted)
    assert len(line.times) == 3
    assert {times.instructions for times in line.times} == {0.0}  # it is all taken off


def test_a_kernel_that_cannot_be_imported_has_a_reason_for_each_case(tmp_path: Path) -> None:
    lines = counted_alone(tmp_path, "raise ImportError('no such library')")
    reasons = [line.reason for line in lines if isinstance(line, Uncounted)]
    assert len(reasons) == len(CASES)
    assert all(reason.endswith("ImportError: no such library") for reason in reasons)


def test_without_valgrind_around_it_a_process_says_so(tmp_path: Path) -> None:
    lines = counted_alone(tmp_path, MATMUL, "real")
    assert {line.reason for line in lines if isinstance(line, Uncounted)} == {
        "the process doesn't run under Valgrind"
    }


def test_time_that_is_over_is_the_reason(tmp_path: Path) -> None:
    side = a_side(tmp_path, "base")
    cell = Cell("numpy_dot", CASES[0])
    source = Source("callgrind", "a sleeper", ())
    where = [counting.Where("base", side.folder)]
    (counts,) = counting.count([cell], where, source, time.monotonic() - 1)
    assert counts.processes == {}
    assert counts.reasons == {cell: "there was no time to count it"}


def test_how_a_process_died_is_told(tmp_path: Path) -> None:
    (tmp_path / "printed").write_text("Traceback\nImportError: no msgspec\n")
    assert counting._death(1, tmp_path) == (
        "the process that counted it ended with exit code 1: ImportError: no msgspec"
    )
    assert "killed by SIGSEGV" in counting._death(-signal.SIGSEGV, tmp_path)
    assert "killed by signal 99" in counting._death(-99, tmp_path)
    (tmp_path / "valgrind.7.log").write_text(
        "vex amd64->IR: unhandled instruction bytes: 0x62 0xF1 0x7C 0x48 0x58 0xC0\n"
    )
    assert counting._death(-signal.SIGILL, tmp_path) == (
        "Valgrind does not know an instruction that it uses (0x62 0xF1 0x7C 0x48 ...), SIGILL"
    )


# What counts


def test_a_valgrind_that_cannot_be_started_is_said_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: str(tmp_path / "valgrind"))
    found = sources._valgrind(set(), "no counters")
    assert isinstance(found, sources.Nothing)
    words = f"no counters, and {tmp_path}/valgrind can't be started (No such file or directory)"
    assert found.reason == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOENT, "this CPU, or the virtual machine, has none"),
        (errno.EMFILE, "Too many open files"),
    ],
)
def test_counters_that_are_lacking_are_no_missing_file(
    number: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = SimpleNamespace(syscall=lambda *_: (ctypes.set_errno(number), -1)[1])
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: calls)
    with pytest.raises(perf.NoCounters, match=f"no counters of the CPU .{words}"):
        perf.Counter(0, 0)


@pytest.mark.parametrize(
    ("says", "words"),
    [
        (None, "and Valgrind is not installed"),
        ("valgrind-3.9.0", r"Valgrind 3.9.0 is too old: 3.18 or newer is needed"),
        ("valgrind-3.17.0", r"too old"),
        ("Segmentation fault", r"valgrind --version says 'Segmentation fault'"),
        ("valgrind-3.19.0", ""),
        ("valgrind-4.0.0.GIT", ""),
    ],
)
def test_no_valgrind_or_an_old_one_is_a_reason_with_a_remedy(
    says: str | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if says is not None:
        fake = tmp_path / "valgrind"
        fake.write_text(f"#!/bin/sh\necho '{says}'\n")
        fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/nowhere")
    monkeypatch.setattr(shutil, "which", lambda _: str(fake) if says else None)

    def none() -> None:
        raise perf.NoCounters("the system gives no counters of the CPU (No such device)")

    monkeypatch.setattr(perf, "Perf", none)
    found = sources.find(("avx2", "fma"))
    if words:
        assert isinstance(found, Nothing)
        assert words in found.reason
        assert "apt install valgrind" in found.remedy
        return
    assert isinstance(found, Source)
    command = found.starting("/somewhere", simulate=True)
    assert command[0] == str(fake)
    assert "--tool=callgrind" in command
    assert "--cache-sim=yes" in command
    assert "--cache-sim=yes" not in found.starting("/somewhere")


def test_the_cpus_own_counters_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    class Here:
        def close(self) -> None:
            pass

    monkeypatch.setattr(perf, "Perf", Here)
    found = sources.find()
    assert isinstance(found, Source)
    assert (found.kind, found.starting("/x")) == ("perf", [])


def test_a_library_is_told_what_valgrind_knows_where_the_cpu_has_as_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(shutil, "which", lambda _: "/bin/echo")
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda *_, **__: subprocess.CompletedProcess([], 0, "valgrind-3.20.0\n", ""),
    )
    plain = sources._valgrind({"avx2", "fma"}, "none")
    old = sources._valgrind(set(), "none")
    assert isinstance(plain, Source)
    assert isinstance(old, Source)
    assert dict(plain.environment)["OPENBLAS_CORETYPE"] == "Haswell"
    assert old.environment == ()
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Sandybridge")
    own = sources._valgrind({"avx2", "fma"}, "none")
    assert isinstance(own, Source)
    assert own.name == "Valgrind 3.20.0 (BLAS as for Sandybridge)"
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert isinstance(sources._valgrind(set(), "none"), Nothing)


def test_a_counter_of_the_system_counts() -> None:
    """Page faults: there wherever perf is, with a virtual machine's missing counters too."""
    try:
        counter = perf.Perf([(perf.SOFTWARE, perf.PAGE_FAULTS)])
    except perf.NoCounters as error:
        pytest.skip(f"needs perf_event_open: {error}")
    pages = 300

    def touched() -> None:  # fresh memory: an allocator's may have been touched before
        with mmap.mmap(-1, pages * mmap.PAGESIZE) as memory:
            for page in range(pages):
                memory[page * mmap.PAGESIZE] = 1

    counted = counter.count(touched)
    nothing = counter.count(lambda: None)
    counter.close()
    assert counted.instructions >= pages > 10 >= nothing.instructions


def test_a_counter_that_others_use_too_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    counter = object.__new__(perf.Counter)
    counter._file = 0
    for ran, fine in ((5, True), (4, False)):
        reading = b"".join(n.to_bytes(8, "little") for n in (7, 5, ran))
        monkeypatch.setattr(os, "read", lambda *_, reading=reading: reading)
        if fine:
            assert counter.read() == 7
        else:
            with pytest.raises(perf.NoCounters, match="used by other programs too"):
                counter.read()


def test_a_profile_is_read_with_the_zeros_that_it_leaves_out() -> None:
    names = "Ir Dr Dw I1mr D1mr D1mw ILmr DLmr DLmw Bc Bcm Bi Bim"
    counted = callgrind.events(f"events: {names}\nfn=x\ntotals: 100 9 8 1 2 3 4 5 6 20 7\n")
    assert counted == events.Events(100.0, None, 15.0, 7.0)
    assert callgrind.events("events: Ir\nsummary: 12\n") == events.Events(12.0)
    assert callgrind.events("events: Ir\n") is None


def test_the_code_of_a_request_is_a_function_that_answers_zero_without_valgrind() -> None:
    with pytest.raises(callgrind.NoValgrind, match="doesn't run under Valgrind"):
        callgrind.Requests()


def test_a_system_without_code_of_its_own_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(callgrind.NoValgrind, match="known for riscv64"):
        callgrind.Requests()


def ror(register: int, bits: int) -> int:
    """AArch64's ROR (immediate), an alias of EXTR (Arm Architecture Reference Manual, C6.2)."""
    return 0x93C00000 | register << 16 | bits << 10 | register << 5 | register


def test_the_code_for_aarch64_is_what_valgrinds_header_says() -> None:
    words = [bytes.fromhex(word)[::-1].hex() for word in callgrind.CODE["aarch64"].split()]
    moves = [0xAA0003E4, 0xD2800003]  # mov x4, x0; mov x3, #0
    preamble = [ror(12, bits) for bits in (3, 13, 51, 61)]
    request = [0xAA0A014A, 0xAA0303E0, 0xD65F03C0]  # orr x10, x10, x10; mov x0, x3; ret
    assert [int(word, 16) for word in words] == [*moves, *preamble, *request]


# Changes


def counts(*instructions: float) -> list[Counted]:
    return [Counted(0, "", 1, (events.Events(n),) * 3) for n in instructions]


@pytest.mark.parametrize(
    ("base", "head", "level"),
    [
        ((1000, 1000), (1000, 1000), "equal"),
        ((1000,), (1000,), "equal"),
        ((1000,), (1030,), None),  # nothing shows how exact that is
        ((1000, 1000), (1030, 1030), "more"),
        ((1000, 1000), (970, 970), "fewer"),
        ((1000, 1000), (1005, 1005), "changed"),
        ((1000, 1000), (1010, 1010), "changed"),
        ((1000, 1004), (1010, 1010), "equal"),
        ((1000, 1020), (1030, 1030), None),
        ((1000, 1020), (1100, 1100), "more"),
        ((1000, 1020, 1000), (1030, 1030), "more"),  # two agree
        ((1000, 1000, 1020), (1020, 1000, 1000), "equal"),
    ],
)
def test_a_change_is_one_where_it_is_more_than_counts_of_one_side_differ_by(
    base: tuple[float, ...], head: tuple[float, ...], level: str | None
) -> None:
    found = change.change(counts(*base), counts(*head))
    assert found is not None
    assert found.level() == level


@pytest.mark.parametrize(
    ("base", "head", "unsettled"),
    [
        ((1000,), (1000,), False),
        ((1000,), (1030,), True),
        ((1000, 1000), (1030, 1030), False),
        ((1000, 1020), (1030, 1030), True),  # too far apart
        ((1000, 1004), (1017, 1017), True),  # more than one per cent, or not
        ((1000, 1001), (1001, 1001), False),
        ((1000, 1000), (1010, 1010), False),  # as exact as it gets
        ((1000, 1020), (1100, 1100), False),
    ],
)
def test_what_more_processes_may_settle_is_counted_again(
    base: tuple[float, ...],
    head: tuple[float, ...],
    unsettled: bool,  # noqa: FBT001
) -> None:
    found = change.change(counts(*base), counts(*head))
    assert found is not None
    assert found.unsettled == unsettled


def test_without_a_count_on_either_side_there_is_no_change() -> None:
    assert change.change(counts(1000), []) is None
    assert change.change(counts(0), counts(0)) is None
