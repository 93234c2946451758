"""What comes into .venv and in which order, what is left when it fails; and what make asks for."""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import ROOT
from bench.machine import downloads, driver, packages, wheel
from bench.machine.packages import Failed
from bench.machine.wheel import Change, Choice

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


class TestSettings:
    """uv goes where pip would."""

    LISTING = (
        ":env:.cert='/a/certificates.pem'\n"
        ":env:.default-timeout='180'\n"
        "download.index-url='https://not.this/one'\n"
        "global.cert='/not/this'\n"
        "global.extra-index-url='https://one.example/simple\\nhttps://two.example/simple'\n"
        "global.index-url='https://not.this/either'\n"
        "install.find-links='/wheels  /more'\n"
        "install.index-url='https://name:word@mirror.example/simple'\n"
    )

    def test_each_setting_of_pip_has_its_variable(self) -> None:
        settings = packages.uv_settings(packages.pip_settings(self.LISTING), {"HOME": "/home"})
        assert settings == {
            "HOME": "/home",
            "SSL_CERT_FILE": "/a/certificates.pem",
            "UV_DEFAULT_INDEX": "https://name:word@mirror.example/simple",
            "UV_FIND_LINKS": "/wheels,/more",
            "UV_HTTP_TIMEOUT": "180",
            "UV_INDEX": "https://one.example/simple https://two.example/simple",
            "UV_INDEX_STRATEGY": "unsafe-best-match",
            "UV_SYSTEM_CERTS": "1",
        }

    def test_what_the_user_told_uv_itself_wins(self) -> None:
        own = {"UV_DEFAULT_INDEX": "https://own.example", "SSL_CERT_FILE": "/everyone's"}
        settings = packages.uv_settings(packages.pip_settings(self.LISTING), own)
        assert settings["UV_DEFAULT_INDEX"] == "https://own.example"
        assert settings["SSL_CERT_FILE"] == "/a/certificates.pem"

    def test_certificates_that_pip_takes_from_other_variables(self) -> None:
        settings = packages.uv_settings({}, {"REQUESTS_CA_BUNDLE": "/a.pem"})
        assert settings["SSL_CERT_FILE"] == "/a.pem"

    def test_pip_really_lists_them_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PIP_INDEX_URL", "https://name:word@mirror.example/simple")
        address = packages.pip_settings(packages.pip_config())["index-url"]
        assert address == "https://name:word@mirror.example/simple"


class Installer:
    """Stands in for uv and pip: writes down what is asked of it, and whether .venv was marked."""

    def __init__(self, venv: Path) -> None:
        self.venv = venv
        self.site = venv / "site-packages"
        self.site.mkdir(parents=True)
        (self.site / "old").touch()
        self.calls: list[str] = []
        self.settings: dict[str, str] = {}
        self.fails: list[str] = []  # a call that has one of these in it fails
        self.breaks: list[str] = []  # one that has one of these fails once it has changed something

    def run(self, command: list[str], environment: dict[str, str]) -> bool:
        words = [Path(command[0]).name, *command[1:]]
        call = " ".join(words).replace(str(packages.LOCKS) + "/", "")
        marked = " (marked)" if self.marked else ""
        self.calls.append(call.replace(sys.executable, "PYTHON") + marked)
        self.settings = environment
        if any(word in call for word in self.breaks):
            (self.site / "half").touch()
            return False
        if any(word in call for word in self.fails):
            return False
        if "--target" not in call and "download" not in call:
            (self.site / call.rpartition(" ")[2].replace("/", "-")).touch()
        return True

    @property
    def marked(self) -> bool:
        return (self.venv / packages.UNFINISHED).exists()


@pytest.fixture
def installer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installer:
    double = Installer(tmp_path)
    uv = tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    uv.touch()
    monkeypatch.setattr(packages, "VENV", tmp_path)
    monkeypatch.setattr(packages, "UV", uv)
    monkeypatch.setattr(packages, "contents", lambda: {path.name for path in double.site.iterdir()})
    monkeypatch.setattr(packages, "_succeeds", double.run)
    monkeypatch.setattr(packages, "pip_config", lambda: "")
    return double


class TestInstall:
    """By uv, or by pip."""

    def test_uv_is_asked_for_hashes(self, installer: Installer) -> None:
        packages.install("uv", "test", loud=False)
        (call,) = installer.calls
        assert (
            call == "uv pip install --python PYTHON --quiet --require-hashes -r uv.txt -r test.txt"
        )
        assert installer.settings["UV_SYSTEM_CERTS"] == "1"

    def test_where_there_is_no_uv_pip_does_it(self, installer: Installer) -> None:
        packages.UV.unlink()
        packages.install("bench", loud=False)
        (call,) = installer.calls
        assert call.endswith("-m pip install --quiet --require-hashes -r bench.txt")

    def test_where_uv_fails_pip_does_it(self, installer: Installer) -> None:
        installer.fails = ["uv pip"]
        packages.install("numba", loud=True)
        first, second = installer.calls
        assert first.startswith("uv pip install --python PYTHON --compile-bytecode --require")
        assert second.endswith("-m pip install --require-hashes -r numba.txt")

    def test_where_uv_stopped_midway_pip_does_not_build_on_it(self, installer: Installer) -> None:
        installer.breaks = ["uv pip"]
        with pytest.raises(Failed):
            packages.install("bench", loud=False)
        assert len(installer.calls) == 1

    def test_where_uv_cannot_even_run_pip_does_it(
        self, installer: Installer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Such as a program for another processor, or for another C library."""
        monkeypatch.undo()
        assert not packages._succeeds([str(installer.venv / "bin" / "uv")], {})

    def test_no_index_is_no_index(
        self, installer: Installer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(packages, "pip_config", lambda: ":env:.no-index='1'\n")
        packages.install("bench", loud=False)
        assert installer.calls[0].endswith("-r bench.txt --no-index")


@pytest.mark.parametrize("error", [Failed, KeyboardInterrupt, OSError])
class TestChanging:
    """What an error or Ctrl-C leaves: .venv as it was, or one that make makes anew."""

    def stop(self, installer: Installer, error: type[BaseException], *, half: bool) -> None:
        with packages.changing():
            assert installer.marked
            if half:
                (installer.site / "half").touch()
            raise error

    def test_before_anything_changed(
        self, installer: Installer, error: type[BaseException]
    ) -> None:
        with pytest.raises(error):
            self.stop(installer, error, half=False)
        assert not installer.marked

    def test_midway(self, installer: Installer, error: type[BaseException]) -> None:
        with pytest.raises(error):
            self.stop(installer, error, half=True)
        assert installer.marked

    def test_in_an_environment_that_is_not_whole_yet(
        self, installer: Installer, error: type[BaseException]
    ) -> None:
        (installer.venv / packages.UNFINISHED).touch()
        with pytest.raises(error):
            self.stop(installer, error, half=False)
        assert installer.marked
        with packages.changing():
            pass
        assert not installer.marked


def test_a_kill_leaves_the_mark(tmp_path: Path) -> None:
    code = (
        "import os, signal; from pathlib import Path; from bench.machine import packages\n"
        f"packages.VENV = Path({str(tmp_path)!r})\n"
        "with packages.changing(): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert (tmp_path / packages.UNFINISHED).exists()


class TestBring:
    """What bench, test and lint need."""

    @pytest.fixture(autouse=True)
    def an_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(packages, "lacking", lambda lock: lock != "uv")
        monkeypatch.setattr(wheel, "installed", lambda: {"cupy-cuda12x": "14.2.0"})

    def test_where_all_is_there_nothing_is_asked(
        self, installer: Installer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(packages, "lacking", lambda lock: False)
        packages.bring("bench")
        assert installer.calls == []

    def test_the_pinned_uv_comes_along(
        self, installer: Installer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(packages, "lacking", lambda lock: True)
        packages.bring("bench")
        assert "-r uv.txt -r bench.txt" in installer.calls[0]

    @pytest.mark.parametrize("group", ["test", "lint"])
    def test_another_cupy_goes_before_the_tests_own_comes(
        self, installer: Installer, group: str
    ) -> None:
        packages.bring(group)
        fetch, uninstall, install = installer.calls
        assert "--target" in fetch
        assert fetch.endswith(f"-r {group}.txt")  # not marked: nothing has changed
        assert uninstall.endswith("-m pip uninstall --quiet --yes cupy-cuda12x (marked)")
        assert install.endswith(f"-r {group}.txt (marked)")
        assert not installer.marked

    def test_what_is_lacking(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.undo()
        monkeypatch.setattr(packages, "LOCKS", tmp_path)
        (tmp_path / "a.txt").write_text("pytest>=1 \\\n    --hash=sha256:aa\n")
        assert not packages.lacking("a")
        (tmp_path / "a.txt").write_text("pytest==0.0.1 ; sys_platform == 'nowhere'\n")
        assert not packages.lacking("a")
        (tmp_path / "a.txt").write_text("pytest==0.0.1\n")
        assert packages.lacking("a")
        (tmp_path / "a.txt").write_text("no-such-package==1\n")
        assert packages.lacking("a")


class TestGpu:
    """CuPy for this machine's GPU."""

    @pytest.fixture
    def planned(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, tuple[str, ...]], None]:
        def plan(name: str, spare: tuple[str, ...]) -> None:
            answer = Choice(name, "as told"), Change(name, spare)
            monkeypatch.setattr(wheel, "plan", lambda word: answer)

        return plan

    def test_the_old_goes_once_the_new_is_here(
        self, installer: Installer, planned: Callable[[str, tuple[str, ...]], None]
    ) -> None:
        planned("cuda12", ("cupy-cuda13x", "nvidia-cublas"))
        packages.bring_gpu("auto")
        fetch, uninstall, install = installer.calls
        assert "--target" in fetch
        assert fetch.endswith("--require-hashes -r cuda12.txt")  # unmarked: it may be interrupted
        assert uninstall.endswith("uninstall --quiet --yes cupy-cuda13x nvidia-cublas (marked)")
        assert install.endswith("--require-hashes -r cuda12.txt (marked)")
        assert not installer.marked

    def test_none_only_removes(
        self, installer: Installer, planned: Callable[[str, tuple[str, ...]], None]
    ) -> None:
        planned("none", ("cupy-cuda13x",))
        packages.bring_gpu("none")
        (uninstall,) = installer.calls
        assert uninstall.endswith("uninstall --quiet --yes cupy-cuda13x (marked)")

    def test_a_lost_network_leaves_all_as_it_was(
        self, installer: Installer, planned: Callable[[str, tuple[str, ...]], None]
    ) -> None:
        planned("cuda13", ("cupy-cuda12x",))
        installer.fails = ["--target", "download"]
        with pytest.raises(Failed, match=r"CuPy can't be had: .* without it: make GPU=none"):
            packages.bring_gpu("auto")
        assert len(installer.calls) == 2  # uv, then pip
        assert {path.name for path in installer.site.iterdir()} == {"old"}
        assert not installer.marked

    @pytest.mark.parametrize("step", ["uninstall", "uv pip install --python PYTHON --compile"])
    def test_what_stops_in_between_is_made_anew(
        self,
        installer: Installer,
        planned: Callable[[str, tuple[str, ...]], None],
        step: str,
    ) -> None:
        planned("cuda13", ("cupy-cuda12x",))
        installer.breaks = [step.replace("PYTHON", sys.executable)]
        with pytest.raises(Failed):
            packages.bring_gpu("auto")
        assert installer.marked

    @pytest.mark.skipif(
        driver.ask().trouble != driver.ABSENT, reason="needs a machine without NVIDIA's driver"
    )
    def test_without_a_driver_nothing_is_downloaded_and_one_line_says_why(
        self, installer: Installer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        packages.bring_gpu("auto")
        said = capsys.readouterr().err
        assert said.startswith("GPU: none; no NVIDIA driver (libcuda.so.1)")
        assert len(said.splitlines()) == 1
        assert installer.calls == []


class TestLibraries:
    """Numba, JAX, MLX and PyTorch, for KERNELS=..."""

    @pytest.fixture(autouse=True)
    def nothing_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(packages, "find_spec", lambda name: None)
        monkeypatch.setattr(packages, "lacking", lambda lock: True)

    def locks(self, installer: Installer) -> list[str]:
        return [call.split()[-2].removesuffix(".txt") for call in installer.calls]

    @pytest.mark.parametrize(
        ("kernels", "names"),
        [
            ([], []),
            (["numpy_matmul", "path/to/mine.py"], []),
            (["numba_loop", "numba_packed", "torch_linear"], ["numba", "torch"]),
            (["all"], ["dask", "jax", "mlx", "numba", "torch"]),
        ],
    )
    def test_a_kernels_name_begins_with_its_library(
        self, installer: Installer, kernels: list[str], names: list[str]
    ) -> None:
        packages.bring_libraries(kernels)
        assert self.locks(installer) == names

    def test_what_is_downloaded_is_said_first(
        self,
        installer: Installer,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr(downloads, "tell", lambda names: [f"to download: {', '.join(names)}"])
        installer.fails = ["install"]
        packages.bring_libraries(["all"])
        said = capsys.readouterr().err.splitlines()
        assert said[:2] == [
            "to download: dask, jax, mlx, numba, torch",
            "uv can't do it: trying pip",
        ]

    def test_a_users_own_stays(self, installer: Installer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(packages, "find_spec", lambda name: name if name == "torch" else None)
        packages.bring_libraries(["all"])
        others = ["dask", "jax", "mlx", "numba"]
        assert self.locks(installer) == others
        assert (installer.venv / packages.ADDED).read_text().split() == others

    def test_one_that_was_added_here_follows_its_lock(
        self, installer: Installer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        packages.bring_libraries(["all"])
        monkeypatch.setattr(packages, "find_spec", lambda name: name)
        monkeypatch.setattr(packages, "lacking", lambda lock: lock == "jax")
        installer.calls.clear()
        packages.bring_libraries(["all"])
        assert self.locks(installer) == ["jax"]

    def test_one_that_is_half_installed_stops_all(self, installer: Installer) -> None:
        installer.breaks = ["jax.txt"]
        with pytest.raises(Failed):
            packages.bring_libraries(["all"])
        assert installer.marked

    def test_one_that_cannot_be_had_does_not_keep_the_others_away(
        self, installer: Installer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        installer.fails = ["jax.txt"]
        packages.bring_libraries(["all"])
        jax = ["jax", "jax"]  # uv, then pip
        assert self.locks(installer) == ["dask", *jax, "mlx", "numba", "torch"]
        assert "note: without jax its kernels stay unavailable\n" in capsys.readouterr().err
        assert not installer.marked


class TestMain:
    """What make sees."""

    def test_all_of_it(self, installer: Installer, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[object] = []
        monkeypatch.setattr(packages, "bring", asked.append)
        monkeypatch.setattr(packages, "bring_gpu", asked.append)
        monkeypatch.setattr(packages, "bring_libraries", asked.append)
        words = ["test", "--gpu", "cuda12", "--kernel", "numba_loop", "--kernel", "all"]
        assert packages.main(words) == 0
        assert asked == ["test", "cuda12", ["numba_loop", "all"]]

    @pytest.mark.parametrize(
        ("error", "code", "said"),
        [
            (Failed("no network"), 1, "error: no network\n"),
            (ValueError("no wheel"), 1, "error: no wheel\n"),
            (KeyboardInterrupt(), 130, ""),
        ],
    )
    def test_an_error_is_one_line(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        error: BaseException,
        code: int,
        said: str,
    ) -> None:
        def fail(group: str) -> None:
            raise error

        monkeypatch.setattr(packages, "bring", fail)
        assert packages.main(["bench"]) == code
        assert capsys.readouterr().err == said


@needs_make
class TestMake:
    """Which targets ask for what, and when .venv is made anew."""

    @pytest.fixture
    def clone(self, tmp_path: Path) -> Path:
        shutil.copy(ROOT / "Makefile", tmp_path)
        (tmp_path / ".venv" / "bin").mkdir(parents=True)
        (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
        return tmp_path

    def make(self, clone: Path, *arguments: str) -> str:
        """Run make -> its exit code and what it said."""
        done = subprocess.run(
            ["make", *arguments],
            cwd=clone,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
        )
        return f"{done.returncode}: {done.stderr}{done.stdout}"

    def python(self, clone: Path, body: str) -> str:
        path = clone / "python"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return f"PYTHON={path}"

    @pytest.mark.parametrize("target", ["bench", "setup", "suite", "gate", "gpu-check"])
    def test_what_measures_asks_for_the_gpu(self, clone: Path, target: str) -> None:
        """And what doesn't, does not: nothing is downloaded to draw charts or to ask the doctor."""
        assert "--gpu" in self.make(clone, "--dry-run", target)

    @pytest.mark.parametrize("target", ["plots", "slides", "doctor", "test", "lint", "help"])
    def test_what_does_not_measure_does_not(self, clone: Path, target: str) -> None:
        assert "--gpu" not in self.make(clone, "--dry-run", target)

    @pytest.mark.parametrize("target", ["bench", "setup", "plots", "slides", "doctor", "suite"])
    def test_each_target_brings_its_own_packages(self, clone: Path, target: str) -> None:
        assert "bench.machine.packages bench" in self.make(clone, "--dry-run", target)

    def test_the_kernels_that_are_asked_for(self, clone: Path) -> None:
        said = self.make(clone, "--dry-run", "bench", "KERNELS=numba_loop torch_linear")
        assert said.count("--kernel numba_loop --kernel torch_linear") == 2

    def test_campaigns_too(self, clone: Path) -> None:
        said = self.make(clone, "--dry-run", "test-all", "ARGS=-x")
        assert "-m 'campaign or not campaign' -x" in said
        assert "campaign" not in self.make(clone, "--dry-run", "test")

    def test_an_environment_that_is_whole_stays(self, clone: Path) -> None:
        assert "-m venv" not in self.make(clone, "--dry-run", "bench")
        same = f"PYTHON={sys.executable}"
        assert "-m venv" not in self.make(clone, "--dry-run", "bench", same)

    @pytest.mark.parametrize("target", ["bench", "test", "lint", "plots", "lock"])
    def test_one_that_stopped_midway_is_made_anew(self, clone: Path, target: str) -> None:
        (clone / ".venv" / packages.UNFINISHED).touch()
        assert "-m venv" in self.make(clone, "--dry-run", target)

    def test_so_is_one_without_its_python(self, clone: Path) -> None:
        (clone / ".venv" / "bin" / "python").unlink()
        assert "-m venv" in self.make(clone, "--dry-run", "bench")

    def test_and_one_of_another_python(self, clone: Path) -> None:
        other = self.python(clone, "echo Python 3.99.0")
        assert "-m venv" in self.make(clone, "--dry-run", "bench", other)

    @pytest.mark.parametrize(
        ("body", "line"),
        [
            ("exit 127", "error: can't run {python}: install Python 3.11 or newer, or name one:"),
            (
                'case "$*" in *version_info*) exit 1;; --version) echo Python 3.9.2;; esac',
                "error: {python} is Python 3.9.2, and 3.11 or newer is needed:",
            ),
            (
                'case "$*" in *ensurepip*) exit 1;; esac',
                "error: {python} has no venv: apt install python3-venv, or name another Python:",
            ),
        ],
    )
    def test_a_python_that_will_not_do_is_one_clear_line(
        self, clone: Path, body: str, line: str
    ) -> None:
        shutil.rmtree(clone / ".venv")
        python = self.python(clone, body)
        said = self.make(clone, "bench", python).splitlines()[0]
        expected = line.format(python=python.removeprefix("PYTHON="))
        assert said == f"2: {expected} make PYTHON=python3.12 bench"
        assert not (clone / ".venv").exists()

    def test_a_bad_word_is_one_line_and_an_error_before_anything_is_made(self, clone: Path) -> None:
        shutil.rmtree(clone / ".venv")
        said = self.make(clone, "bench", "GPU=cuda14")
        assert said.startswith("2: error: GPU=cuda14 is none of auto, none, cuda12, cuda13 (it may")
        assert not (clone / ".venv").exists()


def write_wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> str:
    """A wheel of these files, in an index at `folder` -> its line in a lock file."""
    about = f"{name}-{version}.dist-info"
    files = files | {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        rows.append(f"{path},sha256={digest.decode()},{len(text.encode())}\n")
    files |= {f"{about}/RECORD": "".join([*rows, f"{about}/RECORD,,\n"])}
    page = folder / name
    page.mkdir(parents=True, exist_ok=True)
    file = page / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for path, text in files.items():
            info = zipfile.ZipInfo(path)
            info.external_attr = 0o100755 << 16
            archive.writestr(info, text)
    links = [f'<a href="{each.name}">{each.name}</a>' for each in sorted(page.glob("*.whl"))]
    (page / "index.html").write_text("<!DOCTYPE html><html><body>" + "".join(links))
    digest_of_file = hashlib.sha256(file.read_bytes()).hexdigest()
    return f"{name}=={version} \\\n    --hash=sha256:{digest_of_file}\n"


@needs_make
@pytest.mark.parametrize("tool", ["uv", pytest.param("pip", marks=pytest.mark.campaign)])
def test_from_nothing_with_the_index_of_pip_conf(tmp_path: Path, tool: str) -> None:
    """Real `make`, venv, pip and uv, on an index of two packages that only pip's settings name."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if tool == "uv" and uv is None:
        pytest.skip("needs uv: make test installs it")
    clone, index = tmp_path / "clone", tmp_path / "index"
    (clone / "locks").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", clone)
    for folder in ("bench", "kernels"):
        (clone / folder).symlink_to(ROOT / folder)
    for lock in ("cuda12", "cuda13", "test", "torch"):
        (clone / "locks" / f"{lock}.txt").touch()
    script = f'#!/bin/sh\nexec "{uv}" "$@"\n' if tool == "uv" else "#!/bin/sh\nexit 3\n"
    line = write_wheel(index, "uv", "1.0", {"uv-1.0.data/scripts/uv": script})
    (clone / "locks" / "uv.txt").write_text(line)
    line = write_wheel(index, "tiny", "1.0", {"tiny.py": "VERSION = 1\n"})
    (clone / "locks" / "bench.txt").write_text(line)
    (tmp_path / "constraint.txt").write_text("tiny==9.0\nuv==9.0\n")
    elsewhere = f"[install]\nconstraint = {tmp_path / 'constraint.txt'}\n"
    mirror = f"[global]\nindex-url = {index.as_uri()}\nretries = 0\n"
    (tmp_path / "pip.conf").write_text(mirror + elsewhere)
    environment = {
        "PIP_CONSTRAINT": str(tmp_path / "constraint.txt"),
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PIP_CONFIG_FILE": str(tmp_path / "pip.conf"),
        "PIP_TARGET": "/nowhere",
        "PYTHONPATH": "/nowhere",
    }

    def make() -> str:
        command = ["make", "setup", "GPU=none", f"PYTHON={sys.executable}"]
        done = subprocess.run(
            command, cwd=clone, env=environment, capture_output=True, text=True, check=False
        )
        return f"{done.returncode}: {done.stderr}{done.stdout}"

    def version() -> str:
        code = "import tiny; print(tiny.VERSION)"
        python = clone / ".venv" / "bin" / "python"
        # -B: both versions have the same size, and may have the same second
        command = [str(python), "-B", "-c", code]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert make().startswith("0: ")
    assert version() == "1\n"
    (record,) = clone.glob(".venv/lib/python*/site-packages/tiny-1.0.dist-info/INSTALLER")
    assert record.read_text().strip() == tool
    # the index doesn't answer any more: what is here stays good
    line = write_wheel(index, "tiny", "2.0", {"tiny.py": "VERSION = 2\n"})
    (clone / "locks" / "bench.txt").write_text(line)
    index.rename(tmp_path / "away")
    assert make().startswith("2: ")
    assert version() == "1\n"
    assert not (clone / ".venv" / packages.UNFINISHED).exists()
    # and when it does, the package follows its lock
    (tmp_path / "away").rename(index)
    assert make().startswith("0: ")
    assert version() == "2\n"
