"""The CPU quotas around a process, at whatever level and in whichever version they are."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import ROOT
from bench.worker import cgroups


def proc(folder: Path, own: str, *mounts: str) -> Path:
    """A process's folder in /proc: its groups, and where they are mounted."""
    folder.mkdir(exist_ok=True)
    (folder / "cgroup").write_text(own)
    lines = [f"{31 + i} 23 0:{i} {mount}\n" for i, mount in enumerate(mounts)]
    (folder / "mountinfo").write_text("22 1 8:1 / / rw - ext4 /dev/root rw\n" + "".join(lines))
    return folder


def second(top: Path, root: str = "/") -> str:
    return f"{root} {top} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"


def first(top: Path, root: str = "/", controllers: str = "cpu,cpuacct") -> str:
    return f"{root} {top} rw,relatime - cgroup cgroup rw,{controllers}"


def group(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


V1 = {"cpu__cfs_period_us": "100000\n", "cpu__stat": "nr_throttled 2\nthrottled_time 2500000000\n"}


def test_version_2_anywhere_between_the_process_and_the_top(tmp_path: Path) -> None:
    top = tmp_path / "cgroup"
    group(top / "user.slice" / "job" / "step", cpu__max="max 100000\n")
    own = proc(tmp_path / "proc", "0::/user.slice/job/step\n", second(top))
    assert cgroups.quota(own) is None
    group(top / "user.slice", cpu__max="400000 100000\n", cpu__stat="throttled_usec 1000000\n")
    assert cgroups.quota(own) == 4.0
    group(top / "user.slice" / "job", cpu__max="150000 100000\n", cpu__stat="throttled_usec 500000")
    assert cgroups.quota(own) == 1.5
    assert cgroups.throttled_s(own) == 1.5
    group(top / "user.slice" / "other", cpu__max="10000 100000\n")  # around somebody else
    assert cgroups.quota(own) == 1.5


def test_version_1_nested_beside_other_controllers(tmp_path: Path) -> None:
    top = tmp_path / "cpu,cpuacct"
    group(top, cpu__cfs_quota_us="-1\n", **V1)
    group(top / "slurm" / "job_1", cpu__cfs_quota_us="50000\n", **V1)
    group(top / "elsewhere", cpu__cfs_quota_us="1000\n", **V1)
    own = "8:memory:/elsewhere\n3:cpuset:/elsewhere\n1:cpu,cpuacct:/slurm/job_1\n0::/\n"
    unified, memory = second(tmp_path / "unified"), first(top, "/", "memory")
    assert cgroups.quota(proc(tmp_path / "proc", own, memory, first(top), unified)) == 0.5
    assert cgroups.throttled_s(tmp_path / "proc") == 5.0


@pytest.mark.parametrize("own", ["/docker/abc", "/", "/../abc", "/elsewhere"])
def test_as_a_container_shows_it_at_the_top_whatever_its_own_path_is(
    own: str, tmp_path: Path
) -> None:
    top = group(tmp_path / "cpu", cpu__cfs_quota_us="250000\n", **V1)
    mount = first(top, "/docker/abc")
    assert cgroups.quota(proc(tmp_path / "proc", f"1:cpu,cpuacct:{own}\n", mount)) == 2.5
    top = group(tmp_path / "unified", cpu__max="250000 100000\n")
    mount = second(top, "/docker/abc")
    assert cgroups.quota(proc(tmp_path / "proc", f"0::{own}\n", mount)) == 2.5


@pytest.mark.parametrize("text", ["", "nonsense", "1 2 3", "a b", "0 0", "5 0"])
def test_what_cannot_be_read_is_no_quota(text: str, tmp_path: Path) -> None:
    top = group(tmp_path / "cgroup", cpu__max=text, cpu__stat=text)
    own = proc(tmp_path / "proc", "0::/\n", second(top))
    assert cgroups.quota(own) is None
    assert cgroups.throttled_s(own) == 0.0


def test_without_proc_or_with_nonsense_in_it_there_are_none(tmp_path: Path) -> None:
    assert cgroups.groups(tmp_path) == []
    (proc(tmp_path / "proc", "nonsense\n") / "mountinfo").write_text("nonsense\n - \n")
    assert cgroups.groups(tmp_path / "proc") == []


@pytest.fixture
def half_a_core() -> Iterator[Path]:
    """A control group below another, with half a core for it; root alone can make one."""
    mounts = Path("/proc/self/mountinfo")
    lines = [cgroups._mount(line) for line in mounts.read_text().splitlines()]
    tops = [(names, top) for names, _, top in lines if names is not None]
    version1 = [top for names, top in tops if "cpu" in names]
    for top in (*version1, *(top for names, top in tops if not names)):
        folder = top / f"bench-test-{os.getpid()}"
        try:
            (folder / "inner").mkdir(parents=True)
            if top in version1:
                (folder / "cpu.cfs_quota_us").write_text("50000")
            else:
                (folder / "cpu.max").write_text("50000 100000")
        except OSError:
            for made in (folder / "inner", folder):
                if made.is_dir():
                    made.rmdir()
            continue
        yield folder / "inner"
        (folder / "inner").rmdir()
        folder.rmdir()
        return
    pytest.skip("needs root, and control groups that it may make")


def test_a_true_quota_is_seen_from_inside(half_a_core: Path) -> None:
    code = (
        "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid()))\n"
        "from bench.worker import cgroups, limits\n"
        "before = cgroups.throttled_s(); end = time.monotonic() + 20\n"
        "while time.monotonic() < end and cgroups.throttled_s() == before: pass\n"
        "print(limits.usable_cores(), cgroups.quota(), cgroups.throttled_s() > before)"
    )
    command = [sys.executable, "-c", code, str(half_a_core / "cgroup.procs")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "1 0.5 True\n"
