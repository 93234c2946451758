"""The verdict as one comment on a pull request, updated in place, through GitHub's own `gh`.

A step of a GitHub workflow has `gh` and knows its repository and its event. A comment that begins
with MARK is this one's, from an earlier push; there is no second one.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

MARK = "<!-- dense-layer-bench gate -->"
LONGEST = 60_000  # GitHub takes 65,536 characters

TIMEOUT_S = 60.0


class CantComment(Exception):
    """There is no comment; the text says why, and what to do."""


def write(summary: str) -> str:
    """Put the summary into the pull request's comment -> where it is. Raises CantComment."""
    repository, number = os.environ.get("GITHUB_REPOSITORY", ""), _number()
    if not repository or number is None:
        raise CantComment("this is no step of a pull request's workflow on GitHub")
    if shutil.which("gh") is None:
        raise CantComment("there is no gh: install it (cli.github.com)")
    body = f"{MARK}\n{summary[:LONGEST]}"
    own = _own(repository, number)
    place = f"repos/{repository}/issues/{number}/comments"
    if own is not None:
        place = f"repos/{repository}/issues/comments/{own}"
    answer = _gh(place, "POST" if own is None else "PATCH", json.dumps({"body": body}))
    try:
        return str(json.loads(answer)["html_url"])
    except (ValueError, TypeError, LookupError) as error:
        raise CantComment(f"gh answered {answer[:80]!r}") from error


def _number() -> int | None:
    """The pull request's number, from the event that started the workflow."""
    try:
        event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
        return int(event["pull_request"]["number"])
    except (OSError, ValueError, TypeError, LookupError):
        return None


def _own(repository: str, number: int) -> int | None:
    """The first comment that begins with our mark, of all its pages."""
    answer = _gh(f"repos/{repository}/issues/{number}/comments?per_page=100", "GET", paginate=True)
    try:
        # a page is a list; --slurp puts the pages into one
        comments = [comment for page in json.loads(answer) for comment in page]
        return next(
            (int(c["id"]) for c in comments if str(c.get("body", "")).startswith(MARK)), None
        )
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise CantComment(f"gh answered {answer[:80]!r}") from error


def _gh(place: str, method: str, content: str | None = None, *, paginate: bool = False) -> str:
    command = ["gh", "api", place, "--method", method]
    command += ["--paginate", "--slurp"] if paginate else []
    command += ["--input", "-"] if content is not None else []
    try:
        done = subprocess.run(
            command,
            input=content or "",
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise CantComment(f"gh gave no answer in {TIMEOUT_S:.0f} s") from error
    if done.returncode:
        said = (done.stderr.strip() or "no reason given").splitlines()[-1]
        remedy = "it needs GH_TOKEN and the permission pull-requests: write, which forks don't have"
        raise CantComment(f"gh: {said} ({remedy})")
    return done.stdout
