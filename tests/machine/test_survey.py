"""What a machine is, said without saying whose; each warning fires when it should and only then."""

import os
import platform
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
import pytest
from machine_facts import HONEST, WORKER

from bench.data import machine
from bench.data.machine import Machine
from bench.machine import survey, variables


def changed(**changes: Any) -> Machine:
    """The honest machine, but for the fields given; "cpu__mhz" is one within "cpu"."""
    fields = msgspec.to_builtins(HONEST)
    for name, value in changes.items():
        *outer, last = name.split("__")
        inner = fields
        for part in outer:
            inner = inner[part]
        inner[last] = value
    return msgspec.convert(fields, Machine)


def blas(**changes: Any) -> list[dict[str, Any]]:
    return [{**msgspec.to_builtins(HONEST.blas[0]), **changes}]


class TestWarnings:
    """What makes numbers mean less than they seem to."""

    @pytest.fixture(autouse=True)
    def linux(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "platform", "linux")

    @pytest.mark.parametrize(
        "honest",
        [
            {},
            {"threads": 1, "blas": blas(threads=1)},
            {"load": 2.0},  # half of four cores
            {"cpu__governor": None},
            {"cpu__governor": "schedutil"},
            {"blas": []},
            {"gpus": {"driver": None, "devices": [], "trouble": "no NVIDIA driver"}},
        ],
        ids=str,
    )
    def test_an_honest_machine_has_none(self, honest: dict[str, Any]) -> None:
        assert survey.warnings(changed(**honest)) == []

    @pytest.mark.parametrize(
        ("trouble", "words"),
        [
            ({"overrides": {"OPENBLAS_CORETYPE": "Haswell"}}, "OPENBLAS_CORETYPE=Haswell"),
            ({"threads": 5, "blas": blas(threads=5)}, "5 threads on 4 usable cores"),
            ({"load": 2.1}, "busy before the run began: load 2.1 on 4 cores"),
            ({"blas": blas(threads=2)}, "openblas runs 2 threads, not the 4 asked for"),
            ({"cpu__governor": "powersave"}, "governor is powersave"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_each_trouble_has_one_of_its_own(self, trouble: dict[str, Any], words: str) -> None:
        (said,) = survey.warnings(changed(**trouble))
        assert words in said

    def test_another_system_says_what_it_lacks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "platform", "darwin")
        (said,) = survey.warnings(HONEST)
        assert "no affinity" in said

    def test_each_comes_with_what_to_do(self) -> None:
        everything = changed(
            overrides={"OPENBLAS_CORETYPE": "Haswell"},
            threads=5,
            load=3.0,
            cpu__governor="powersave",
        )
        troubles = survey.troubles(everything)
        assert [said for said, _ in troubles] == survey.warnings(everything)
        assert [remedy for _, remedy in troubles] == [
            "unset OPENBLAS_CORETYPE",
            "--threads 4",
            "end what else runs (top shows it), or wait",
            "--threads 4, or a NumPy with another BLAS",
            "sudo cpupower frequency-set -g performance",
        ]

    def test_several_troubles_are_all_said(self) -> None:
        assert len(survey.warnings(changed(load=3.0, cpu__governor="powersave"))) == 2


class TestIdentity:
    """What has to be the same for two runs to be comparable."""

    @pytest.mark.parametrize(
        ("change", "what"),
        [
            ({"cpu__model": "Intel Xeon"}, "CPU"),
            ({"cpu__cores_usable": 2}, "CPU"),
            ({"memory_bytes": 2**35}, "memory"),
            ({"python": "3.13.0"}, "Python"),
            ({"numpy": "2.5.0"}, "NumPy"),
            ({"blas": blas(version="0.3.29")}, "BLAS"),
            ({"blas": blas(library="mkl")}, "BLAS"),
            ({"blas": blas(core_type="Haswell")}, "BLAS"),
            ({"threads": 2}, "threads"),
            ({"gpus__devices": []}, "GPUs"),
        ],
        ids=str,
    )
    def test_another_machine_differs_in_what_is_other(
        self, change: dict[str, Any], what: str
    ) -> None:
        before, after = survey.identity(HONEST), survey.identity(changed(**change))
        assert [name for name in before if before[name] != after[name]] == [what]

    @pytest.mark.parametrize("change", [{"load": 3.0}, {"cpu__mhz": 1200.0}], ids=str)
    def test_what_changes_by_the_minute_is_no_difference(self, change: dict[str, Any]) -> None:
        assert survey.identity(changed(**change)) == survey.identity(HONEST)

    def test_it_survives_machine_json(self, tmp_path: Path) -> None:
        path = tmp_path / "machine.json"
        path.write_text(machine.dumps(HONEST))
        assert survey.identity(machine.read(path)) == survey.identity(HONEST)


class TestSurvey:
    """machine.json, of the machine that runs these tests."""

    def test_it_holds_what_the_rest_reads_from_it(self) -> None:
        here = survey.survey(WORKER, threads=4)
        assert here.blas == HONEST.blas
        assert (here.python, here.numpy, here.threads) == ("3.12.1", "2.4.0", 4)
        assert here.cpu.model
        assert here.cpu.cores_usable >= 1
        assert here.memory_bytes > 2**20
        assert list(here.warnings) == survey.warnings(here)
        assert msgspec.json.decode(machine.dumps(here), type=Machine) == here

    def test_it_names_neither_the_host_nor_anyones_folders(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        uname = platform.uname()._replace(node="secret-host")
        monkeypatch.setattr(platform, "uname", lambda: uname)
        monkeypatch.setattr(platform, "node", lambda: "secret-host")
        monkeypatch.setattr(socket, "gethostname", lambda: "secret-host")
        monkeypatch.setenv("HOSTNAME", "secret-host")
        text = machine.dumps(survey.survey(WORKER, threads=4))
        assert "secret-host" not in text
        assert "somebody" not in text
        assert str(Path.home()) not in text

    def test_hosts_are_told_apart(self, monkeypatch: pytest.MonkeyPatch) -> None:
        hosts = {}
        for name in ("one", "two", "two", "0123456789ab"):
            monkeypatch.setattr(platform, "node", lambda name=name: name)
            hosts[name] = survey.survey(WORKER, threads=4).host
        assert len(set(hosts.values())) == 3
        assert re.fullmatch("[0-9a-f]{8}", hosts["one"])
        assert hosts["0123456789ab"] == ""  # a container's
        monkeypatch.setenv("BENCH_HOST", "node7")
        assert survey.survey(WORKER, threads=4).host == "node7"

    def test_the_environments_packages_are_listed(self) -> None:
        packages = survey.survey(WORKER, threads=4).packages
        assert packages["numpy"] == np.__version__
        assert list(packages) == sorted(packages)

    def test_the_fingerprint_is_the_identitys(self) -> None:
        fingerprint = survey.survey(WORKER, threads=4).fingerprint
        assert re.fullmatch("[0-9a-f]{12}", fingerprint)
        assert survey.survey(WORKER, threads=4).fingerprint == fingerprint
        assert survey.survey(WORKER, threads=2).fingerprint != fingerprint

    def test_overrides_are_recorded_told_and_no_other_machine(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in variables.changing(os.environ):
            monkeypatch.delenv(name)
        plain = survey.survey(WORKER, threads=4)
        assert plain.overrides == {}
        monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
        monkeypatch.setenv("NUMBA_OPT", "0")
        changed = survey.survey(WORKER, threads=4)
        assert changed.overrides == {"NUMBA_OPT": "0", "OPENBLAS_CORETYPE": "Haswell"}
        assert "unset NUMBA_OPT" in dict(survey.troubles(changed)).values()
        assert changed.fingerprint != plain.fingerprint

    def test_a_machine_without_git_or_repository_has_no_commit(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failures: list[Exception] = [
            FileNotFoundError("git"),
            PermissionError("git"),
            subprocess.TimeoutExpired("git", 20),
        ]
        for failure in failures:

            def fail(*_: object, failure: Exception = failure, **__: object) -> None:
                raise failure

            monkeypatch.setattr(subprocess, "run", fail)
            here = survey.survey(WORKER, threads=4)
            assert here.commit is None
            assert not here.clean

    def test_a_system_that_tells_little_is_surveyed_all_the_same(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # as in some containers, and on other systems than Linux
        monkeypatch.setattr(survey, "_first_processor", dict)
        monkeypatch.setattr(psutil, "cpu_freq", lambda: None)
        cpu = survey.survey(WORKER, threads=4).cpu
        assert cpu.model
        assert cpu.mhz is None
        assert cpu.vector_flags == ()

    def test_facts_that_cannot_be_read_are_left_out(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def lacking() -> None:
            raise NotImplementedError("can't find current frequency file")  # psutil's words

        monkeypatch.setattr(psutil, "cpu_freq", lacking)
        (tmp_path / "scaling_governor").mkdir()
        (tmp_path / "scaling_driver").write_bytes(b"\xff")
        monkeypatch.setattr(survey, "FREQUENCY", tmp_path)
        cpu = survey.survey(WORKER, threads=4).cpu
        assert (cpu.mhz, cpu.governor) == (None, None)


@pytest.mark.parametrize("held", [False, True])
def test_the_commit_is_that_of_a_repository_that_holds_this_code_or_none(
    held: bool,  # noqa: FBT001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inside = tmp_path / "project"
    (inside / "bench").mkdir(parents=True)
    (inside / "bench" / "__init__.py").touch()
    monkeypatch.setattr("bench.machine.git.ROOT", inside)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    adding = [["add", "-A"]] if held else []
    for arguments in (["init", "-q"], *adding, ["commit", "-q", "--allow-empty", "-m", "all"]):
        subprocess.run([*git, *arguments], check=True)
    commit = survey.survey(WORKER, threads=4).commit
    assert (len(commit or "") == 40) is held


def test_what_runs_leave_behind_does_not_make_the_tree_unclean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.machine.git.ROOT", tmp_path)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)

    def clean() -> bool:
        return survey._git("status", "--porcelain", "--", *survey.CODE) == ""

    for folder in ("results", "plots"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "new").touch()
    assert clean()
    (tmp_path / "kernel.py").touch()
    assert not clean()
