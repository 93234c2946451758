"""Git asks this checkout, wherever it lies and whatever the environment says."""

import os
import subprocess
from pathlib import Path

import pytest

from bench.gate import checkouts
from bench.machine import git, survey
from bench.terminal.errors import BadInput

AUTHOR = ("-c", "user.name=a", "-c", "user.email=a@b")


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *AUTHOR, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def project(folder: Path) -> Path:
    """The files that the project's own code asks git for."""
    for name in ("bench/__init__.py", "kernels/__init__.py", "kernels/mine.py", checkouts.LOCK):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"# {name} {os.urandom(8).hex()}\n")
    return folder


def repository(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    run(folder, "init", "-q")
    run(folder, "add", "-A")
    run(folder, "commit", "-q", "--allow-empty", "-m", "one")
    return folder


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Repositories of their own, though a hook of ours may run these tests."""
    for name in git.ELSEWHERE:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def stand_in(at: pytest.MonkeyPatch, folder: Path) -> None:
    at.setattr(git, "ROOT", folder)
    at.setattr(checkouts, "ROOT", folder)


def test_variables_that_name_another_repository_change_nothing(
    tmp_path: Path, at: pytest.MonkeyPatch
) -> None:
    own, other = repository(project(tmp_path / "own")), repository(tmp_path / "other")
    head = run(own, "rev-parse", "HEAD")
    stand_in(at, own)
    for name in git.ELSEWHERE:
        at.setenv(name, str(other / ".git"))
    assert survey._commit() == head
    assert survey._git("status", "--porcelain", "--", *survey.CODE) == ""
    with checkouts.both("HEAD", "worktree") as (base, _):
        assert base.commit == head
        assert (base.folder / "kernels" / "mine.py").is_file()


def test_what_git_itself_calls_a_repositorys_variables_is_left_out_but_for_settings() -> None:
    local = set(run(Path.cwd(), "rev-parse", "--local-env-vars").split())
    settings = {"GIT_CONFIG", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"}
    assert local - settings - {"GIT_INTERNAL_SUPER_PREFIX"} <= git.ELSEWHERE


def test_a_project_inside_a_larger_repository(tmp_path: Path, at: pytest.MonkeyPatch) -> None:
    project(tmp_path / "all" / "tools" / "dense")
    top = repository(tmp_path / "all")
    stand_in(at, top / "tools" / "dense")
    assert survey._commit() == run(top, "rev-parse", "HEAD")
    with checkouts.both("HEAD", "worktree") as (base, head):
        for side in (base, head):
            assert (side.folder / "kernels" / "mine.py").is_file()
            assert (side.folder / checkouts.LOCK).is_file()


def test_a_repository_that_only_lies_around_the_project_is_not_its_own(
    tmp_path: Path, at: pytest.MonkeyPatch
) -> None:
    stand_in(at, project(repository(tmp_path / "home") / "src" / "dense"))
    assert survey._commit() is None
    with pytest.raises(BadInput, match="--base: 'HEAD' has no directory kernels/"):
        checkouts.both("HEAD", "worktree").__enter__()


def test_a_worktree(tmp_path: Path, at: pytest.MonkeyPatch) -> None:
    own = repository(project(tmp_path / "own"))
    run(own, "worktree", "add", "-q", str(tmp_path / "second"))
    stand_in(at, tmp_path / "second")
    assert survey._commit() == run(own, "rev-parse", "HEAD")
    with checkouts.both("HEAD", "worktree") as (base, _):
        assert (base.folder / "kernels" / "mine.py").is_file()
    (tmp_path / "own").rename(tmp_path / "moved")  # as in a container that has the worktree alone
    assert survey._commit() is None
    with pytest.raises(BadInput, match="git can't read this checkout: fatal: not a git repository"):
        checkouts.both("HEAD", "worktree").__enter__()


def test_a_shallow_clone_says_how_to_get_the_rest(tmp_path: Path, at: pytest.MonkeyPatch) -> None:
    own = repository(project(tmp_path / "own"))
    run(own, "commit", "-q", "--allow-empty", "-m", "two")
    run(tmp_path, "clone", "-q", "--depth", "1", own.as_uri(), "clone")
    stand_in(at, tmp_path / "clone")
    assert survey._commit() == run(own, "rev-parse", "HEAD")
    with pytest.raises(BadInput, match=r"no commit 'HEAD~1' here: .* git fetch --unshallow"):
        checkouts.both("HEAD~1", "HEAD").__enter__()


@pytest.mark.parametrize("left_out", ["blob:none", "tree:0"])
def test_a_clone_without_files_gets_them_or_says_why_not(
    left_out: str, tmp_path: Path, at: pytest.MonkeyPatch
) -> None:
    own = repository(project(tmp_path / "own"))
    project(own)
    run(own, "commit", "-q", "-a", "-m", "two")
    run(own, "config", "uploadpack.allowFilter", "true")
    run(own, "config", "uploadpack.allowAnySHA1InWant", "true")
    run(tmp_path, "clone", "-q", f"--filter={left_out}", own.as_uri(), "clone")
    stand_in(at, tmp_path / "clone")
    own.rename(tmp_path / "gone")
    assert survey._commit() is not None
    with pytest.raises(BadInput, match=r"can't be had \(.*\): this clone leaves files at its remo"):
        checkouts.both("HEAD~1", "HEAD").__enter__()
    (tmp_path / "gone").rename(own)
    with checkouts.both("HEAD~1", "HEAD") as (base, _):
        assert (base.folder / "kernels" / "mine.py").is_file()


def test_a_git_that_cannot_be_run_is_named_with_its_reason(at: pytest.MonkeyPatch) -> None:
    for error, said in (
        (FileNotFoundError(2, "No such file or directory", "git"), "is git installed?"),
        (PermissionError(13, "Permission denied", "git"), r"git can't be used \(Permission denied"),
        (BlockingIOError(11, "Resource temporarily unavailable"), "raise the limit on processes"),
    ):

        def fail(*_: object, error: OSError = error, **__: object) -> None:
            raise error

        at.setattr(subprocess, "run", fail)
        with pytest.raises(BadInput, match=said):
            checkouts.both("HEAD", "worktree").__enter__()


def test_a_checkout_of_another_user_says_what_git_wants(
    tmp_path: Path, at: pytest.MonkeyPatch
) -> None:
    own = repository(project(tmp_path / "own"))
    stand_in(at, own)
    at.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own tests use it
    assert survey._commit() is None
    with pytest.raises(BadInput, match=r"dubious ownership .*: git config --global --add safe"):
        checkouts.both("HEAD", "worktree").__enter__()
