"""Text that came from a file, a path or a library, made fit to be shown: on a terminal, in an SVG,
in a spreadsheet.
"""

import re

UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters: a terminal obeys them, XML has no place for them
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # they turn the text around them about
    "\ud800-\udfff\ufeff\ufffe\uffff]"  # no characters at all
)
"""What no text in a run's files holds."""

FORMULA = re.compile(r"'*[=+\-@]")
GUARDED = re.compile(r"'+[=+\-@]")


def plain(text: str) -> str:
    """The text on one line, with a mark where something unseen was."""
    return UNSEEN.sub(lambda found: " " if found[0].isspace() else "\ufffd", text)


LONGEST = 2000
"""Characters of a text in a run's files: a compiler's log has no end."""


def short(text: str) -> str:
    """The text on one line, cut to `LONGEST` characters."""
    # cut first: what is thrown away need not be looked at
    line = plain(text[: LONGEST + 1])
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


MARKDOWN = re.compile(r"[\\`*_{}\[\]<>|~$&]|(?<=www)\.|:(?=//)|[@#]")
JOINER = "\u2060"


def markdown(text: str) -> str:
    """Text that Markdown shows as it is, on one line of a table: no mark-up, link or formula.

    GitHub looks for @names and #numbers in what is shown, whatever escapes them: an invisible
    character (U+2060) makes them none.
    """
    return MARKDOWN.sub(
        lambda match: f"\\{match[0]}{JOINER if match[0] in '@#' else ''}", plain(text)
    )


def guarded(text: str) -> str:
    """For a CSV file: a spreadsheet takes a field that begins with = + - @ for a formula, and with
    a ' before it for text. `unguarded` takes it away.
    """
    return f"'{text}" if FORMULA.match(text) else text


def unguarded(text: str) -> str:
    """What was guarded."""
    return text[1:] if GUARDED.match(text) else text
