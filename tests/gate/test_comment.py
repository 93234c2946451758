"""The comment on a pull request, through a `gh` that stands for GitHub's."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.gate import comment

GH = """#!{python}
# A stand-in of `gh api` for a pull request's comments (docs.github.com, REST, issue comments):
# two a page, and --slurp makes a list of the pages.
import json, pathlib, sys
store = pathlib.Path({store!r})
state = json.loads(store.read_text())
place, method = sys.argv[2], sys.argv[sys.argv.index("--method") + 1]
state["calls"].append([method, place])
if state["trouble"]:
    print("gh: Resource not accessible by integration (HTTP 403)", file=sys.stderr)
    store.write_text(json.dumps(state))
    sys.exit(1)
comments = state["comments"]
if method == "GET":
    assert place == "repos/me/mine/issues/7/comments?per_page=100", place
    assert "--paginate" in sys.argv and "--slurp" in sys.argv
    print(json.dumps([comments[i : i + 2] for i in range(0, len(comments), 2)] or [[]]))
else:
    body = json.load(sys.stdin)["body"]
    if method == "POST":
        assert place == "repos/me/mine/issues/7/comments", place
        one = {{"id": 100 + len(comments), "body": body}}
        comments.append(one)
    else:
        assert method == "PATCH" and place.startswith("repos/me/mine/issues/comments/"), place
        (one,) = (c for c in comments if str(c["id"]) == place.rsplit("/")[-1])
        one["body"] = body
    print(json.dumps({{"html_url": f"https://github.example/c/{{one['id']}}"}}))
store.write_text(json.dumps(state))
"""


class GitHub:
    """A pull request and its comments."""

    def __init__(self, folder: Path) -> None:
        self.store = folder / "state.json"
        self.set([])

    def set(self, comments: list[str], *, trouble: bool = False) -> None:
        rows = [{"id": 100 + i, "body": body} for i, body in enumerate(comments)]
        state = {"calls": [], "comments": rows, "trouble": trouble}
        self.store.write_text(json.dumps(state))

    @property
    def state(self) -> Any:
        return json.loads(self.store.read_text())

    @property
    def bodies(self) -> list[str]:
        return [each["body"] for each in self.state["comments"]]


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitHub:
    found = GitHub(tmp_path)
    gh = tmp_path / "bin" / "gh"
    gh.parent.mkdir()
    gh.write_text(GH.format(python=sys.executable, store=str(found.store)))
    gh.chmod(0o755)
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7}}))
    monkeypatch.setenv("PATH", f"{gh.parent}:/usr/bin:/bin")
    monkeypatch.setenv("GITHUB_REPOSITORY", "me/mine")
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(event))
    return found


def test_the_first_verdict_makes_a_comment_and_the_next_one_updates_it(github: GitHub) -> None:
    github.set(["a reviewer's", "another", f"> {comment.MARK}\nquoted by a reviewer"])
    assert comment.write("### Gate: slower").endswith("/c/103")
    assert comment.write("### Gate: fine") == "https://github.example/c/103"
    assert github.bodies[:3] == [
        "a reviewer's",
        "another",
        f"> {comment.MARK}\nquoted by a reviewer",
    ]
    assert github.bodies[3:] == [f"{comment.MARK}\n### Gate: fine"]
    methods = [method for method, _ in github.state["calls"]]
    assert methods == ["GET", "POST", "GET", "PATCH"]


def test_a_summary_that_is_too_long_is_cut(github: GitHub) -> None:
    comment.write("x" * 10**6)
    assert len(github.bodies[0]) < 2**16


def test_what_github_refuses_is_a_line_with_the_remedy(github: GitHub) -> None:
    github.set([], trouble=True)
    with pytest.raises(comment.CantComment, match=r"403\).*pull-requests: write"):
        comment.write("x")


@pytest.mark.parametrize("event", ["{}", "no JSON", '{"pull_request": null}'])
def test_outside_of_a_pull_request_there_is_none(
    event: str, github: GitHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "event.json").write_text(event)
    with pytest.raises(comment.CantComment, match="no step of a pull request's workflow"):
        comment.write("x")
    monkeypatch.delenv("GITHUB_REPOSITORY")
    with pytest.raises(comment.CantComment, match="no step of a pull request's workflow"):
        comment.write("x")
    assert github.state["calls"] == []


def test_without_gh_and_with_one_that_answers_nonsense_it_says_so(
    github: GitHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for said in ("nonsense", "[{}]", "[[1]]", '{"a": 1}'):
        (tmp_path / "bin" / "gh").write_text(f"#!/bin/sh\ncat >/dev/null\necho '{said}'\n")
        with pytest.raises(comment.CantComment, match="gh answered"):
            comment.write("x")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(comment.CantComment, match="there is no gh"):
        comment.write("x")
