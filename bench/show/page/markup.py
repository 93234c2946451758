"""Elements of HTML, made one by one: text is data, and is written out as text.

A page is a tree of `xml.etree` elements, so no name, reason or line of code can become markup. The
one kind of text that HTML doesn't escape is that of script and style: `data` for what is not ours.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any
from xml.etree.ElementTree import Element, tostring

from bench.terminal.text import UNSEEN

Content = str | Element


def element(tag: str, *content: Content, **attributes: object) -> Element:
    """An element with its content; class_="x" is class, data_run="0" data-run; None: left out."""
    made = Element(tag)
    for name, value in attributes.items():
        if value is not None:
            made.set(name.rstrip("_").replace("_", "-"), shown(str(value)))
    return fill(made, *content)


def fill(parent: Element, *content: Content) -> Element:
    """Add content at the end of an element."""
    for part in content:
        if isinstance(part, Element):
            parent.append(part)
        elif len(parent):
            parent[-1].tail = (parent[-1].tail or "") + shown(part)
        else:
            parent.text = (parent.text or "") + shown(part)
    return parent


def shown(text: str) -> str:
    """Text with its lines, and a mark where a control character was or what turns text about."""
    return "\n".join(
        UNSEEN.sub(lambda found: " " if found[0] == "\t" else "\ufffd", line)
        for line in text.split("\n")
    )


def data(name: str, value: Any) -> Element:
    """JSON for the page's script. "<" is escaped, so nothing in it ends the element."""
    made = Element("script", {"type": "application/json", "id": name})
    made.text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    made.text = made.text.replace("<", "\\u003c").replace("\u2028", "\\u2028")
    return made


def table(
    header: Sequence[Content], rows: Iterable[Sequence[Content]], **attributes: object
) -> Element:
    """A table whose first column names its rows. Cells may be `numeral`s."""
    head = element("tr", *(element("th", part, scope="col") for part in header))
    body = element("tbody")
    for first, *others in rows:
        cells = [part if _cell(part) else element("td", part) for part in others]
        body.append(element("tr", element("th", first, scope="row"), *cells))
    return element("table", element("thead", head), body, **attributes)


def _cell(part: Content) -> bool:
    return isinstance(part, Element) and part.tag == "td"


def numeral(text: str, value: float | None) -> Element:
    """A number as people read it, with all its digits for what sorts or checks it."""
    exact = None if value is None or value != value else repr(float(value))  # noqa: PLR0124
    return element("td", text, class_="number", data_value=exact)


def html(root: Element) -> str:
    """The whole document."""
    return "<!DOCTYPE html>\n" + tostring(root, encoding="unicode", method="html") + "\n"
