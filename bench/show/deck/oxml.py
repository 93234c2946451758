"""What the format of PowerPoint's files can say and python-pptx can't: axes on a log scale, error
bars from the data, places, alternative text, and files without the time of writing.

The orders of elements are those of the schema (ECMA-376, part 1, 21.2), as XlsxWriter writes them.
"""

import copy
import io
import zipfile
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pptx.opc.oxml import serialize_part_xml
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls, qn
from xlsxwriter import Workbook
from xlsxwriter.utility import xl_cell_to_rowcol

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a ZIP file can tell


def log_scale(axis: Any, base: int = 10) -> None:
    """Put an axis of a chart on a log scale."""
    scaling = axis._element.find(qn("c:scaling"))  # noqa: SLF001 - python-pptx's way to its XML
    scaling.insert(0, parse_xml(f'<c:logBase {nsdecls("c")} val="{base}"/>'))


def cross_at(axis: Any, place: float) -> None:
    """Where on the other axis this one stands; bars begin there."""
    crosses = axis._element.find(qn("c:crosses"))  # noqa: SLF001
    crosses.getparent().replace(
        crosses, parse_xml(f'<c:crossesAt {nsdecls("c")} val="{place!r}"/>')
    )


def error_bars(
    series: Any,
    below: Sequence[float | None],
    above: Sequence[float | None],
    colour: str,
    width_pt: float = 1.5,
    *,
    direction: str | None = "y",
) -> None:
    """Error bars of their own lengths for each point; `direction` is None in a chart of bars."""
    ser = series._element  # noqa: SLF001
    values = ser.find(qn("c:val")) if direction is None else ser.find(qn("c:yVal"))
    reference = values.find(f".//{qn('c:f')}").text
    count = int(values.find(f".//{qn('c:ptCount')}").get("val"))
    first = 2 if direction is None else 1  # beside bars are the places of their names
    sides = "".join(
        f"<c:{name}><c:numRef><c:f>{_beside(reference, columns)}</c:f>"
        f"{_cache(numbers, count)}</c:numRef></c:{name}>"
        for columns, name, numbers in ((first + 1, "plus", above), (first, "minus", below))
    )
    direct = f'<c:errDir val="{direction}"/>' if direction else ""
    bars = parse_xml(
        f"<c:errBars {nsdecls('c', 'a')}>{direct}"
        '<c:errBarType val="both"/><c:errValType val="cust"/><c:noEndCap val="0"/>'
        f'{sides}<c:spPr><a:ln w="{round(width_pt * 12700)}"><a:solidFill>'
        f'<a:srgbClr val="{colour.lstrip("#")}"/></a:solidFill></a:ln></c:spPr></c:errBars>'
    )
    ser.find(qn("c:cat") if direction is None else qn("c:xVal")).addprevious(bars)


def _beside(reference: str, columns: int) -> str:
    """The range so many columns right of a range like Sheet1!$B$2:$B$7."""
    sheet, cells = reference.split("!")
    for cell in set(cells.split(":")):
        column = cell.split("$")[1]
        cells = cells.replace(cell, cell.replace(column, chr(ord(column) + columns)))
    return f"{sheet}!{cells}"


def _cache(numbers: Sequence[float | None], count: int) -> str:
    points = "".join(
        f'<c:pt idx="{i}"><c:v>{number!r}</c:v></c:pt>'
        for i, number in enumerate(numbers)
        if number is not None
    )
    of = f'<c:ptCount val="{count}"/>'
    return f"<c:numCache><c:formatCode>General</c:formatCode>{of}{points}</c:numCache>"


def dash(line: Any, pattern: Sequence[float]) -> None:
    """A line's dashes and gaps in turn, in widths of the line, as Matplotlib has them."""
    stops = "".join(
        f'<a:ds d="{round(on * 100_000)}" sp="{round(off * 100_000)}"/>'
        for on, off in zip(pattern[::2], pattern[1::2], strict=True)
    )
    fill = line._ln.find(qn("a:solidFill"))  # noqa: SLF001
    fill.addnext(parse_xml(f"<a:custDash {nsdecls('a')}>{stops}</a:custDash>"))


def place_plot(chart: Any, left: float, top: float, width: float, height: float) -> None:
    """Give the area between the axes its place, in parts of the chart's width and height."""
    area = chart._chartSpace.find(f".//{qn('c:plotArea')}")  # noqa: SLF001
    for old in area.findall(qn("c:layout")):
        area.remove(old)
    places = "".join(
        f'<c:{name} val="{value:.5f}"/>'
        for name, value in (("x", left), ("y", top), ("w", width), ("h", height))
    )
    layout = (
        f"<c:layout {nsdecls('c')}><c:manualLayout>"
        '<c:layoutTarget val="inner"/><c:xMode val="edge"/><c:yMode val="edge"/>'
        f"{places}</c:manualLayout></c:layout>"
    )
    area.insert(0, parse_xml(layout))


def lie_at(axis: Any, left: float, top: float) -> None:
    """Put the title of an axis, horizontal, in its place: parts of the chart's width and height."""
    title = axis._element.find(qn("c:title"))  # noqa: SLF001
    for old in title.findall(qn("c:layout")):
        title.remove(old)
    title.find(f".//{qn('a:bodyPr')}").set("rot", "0")
    layout = (
        f"<c:layout {nsdecls('c')}><c:manualLayout>"
        '<c:xMode val="edge"/><c:yMode val="edge"/>'
        f'<c:x val="{left:.5f}"/><c:y val="{top:.5f}"/></c:manualLayout></c:layout>'
    )
    title.find(qn("c:tx")).addnext(parse_xml(layout))


def heading_row(series: Any) -> int:
    """The row of the workbook in which a series of an XY chart has its name."""
    name = series._element.find(f"{qn('c:tx')}//{qn('c:f')}").text  # noqa: SLF001
    return int(name.split("$")[-1])


def has_error_bars(series: Any) -> bool:
    """Whether it was given some."""
    return series._element.find(qn("c:errBars")) is not None  # noqa: SLF001


def adopt(page: Any, place: Any) -> Any:
    """A placeholder of the layout on a slide, under a number of its own."""
    tree = page.shapes._spTree  # noqa: SLF001
    numbers = [int(number) for number in tree.xpath(".//p:cNvPr/@id")]
    element = copy.deepcopy(place._element)  # noqa: SLF001
    element.xpath(".//p:cNvPr")[0].set("id", str(max(numbers) + 1))
    tree.append(element)
    return page.shapes[-1]


def to_layout(shape: Any, layout: Any) -> None:
    """Move a shape behind what is on a layout: then it is part of the design."""
    layout.shapes._spTree.insert(2, shape._element)  # noqa: SLF001 - after the tree's two own


def blank(made: Any) -> None:
    """Take away what python-pptx's template says of itself: its 4:3, its small picture."""
    made.part._element.find(qn("p:sldSz")).attrib.pop("type", None)  # noqa: SLF001
    package = made.part.package
    for number, relation in list(package._rels.items()):  # noqa: SLF001
        if relation.reltype.endswith("/thumbnail"):
            package.drop_rel(number)


def describe(shape: Any, text: str) -> None:
    """Alternative text, for those who can't see the picture."""
    shape._element.xpath(".//p:cNvPr")[0].set("descr", text)  # noqa: SLF001


def style_titles(master: Any, size: float) -> None:
    """Titles on the left, bold, of so many points."""
    level = master._element.find(f".//{qn('p:titleStyle')}/{qn('a:lvl1pPr')}")  # noqa: SLF001
    level.set("algn", "l")
    font = level.find(qn("a:defRPr"))
    font.set("sz", str(round(size * 100)))
    font.set("b", "1")


def style_list(place: Any, size: float, colour: str, align: str) -> None:
    """The first level of a placeholder's text."""
    body = place._element.find(qn("p:txBody"))  # noqa: SLF001
    old = body.find(qn("a:lstStyle"))
    new = parse_xml(
        f'<a:lstStyle {nsdecls("a")}><a:lvl1pPr marL="0" indent="0" algn="{align}"><a:buNone/>'
        f'<a:defRPr sz="{round(size * 100)}"><a:solidFill><a:srgbClr val="{colour.lstrip("#")}"/>'
        "</a:solidFill></a:defRPr></a:lvl1pPr></a:lstStyle>"
    )
    body.replace(old, new) if old is not None else body.insert(1, new)


def say_number(place: Any, number: int) -> None:
    """The slide's number, as a field that follows it."""
    body = place._element.find(qn("p:txBody"))  # noqa: SLF001
    for old in body.findall(qn("a:p")):
        body.remove(old)
    field = '<a:fld id="{86CB4B4D-7CA3-9044-876B-883B54F8677D}" type="slidenum">'
    body.append(
        parse_xml(
            f'<a:p {nsdecls("a")}>{field}<a:rPr lang="en-GB"/><a:t>{number}</a:t></a:fld></a:p>'
        )
    )


def workbook(chart: Any, headings: dict[str, str], made: datetime) -> bytes:
    """A workbook with all that a chart shows, each number in the cell that the chart names for it.

    `headings`: the text of further cells, like {"A1": "width"}.
    """
    content = io.BytesIO()
    book = Workbook(content, {"in_memory": True})
    book.set_properties({"created": made})
    sheet = book.add_worksheet("Sheet1")
    sheet.set_column(0, 30, 22)
    for cell, text in headings.items():
        sheet.write_string(cell, text)
    for reference in chart._chartSpace.iter(qn("c:numRef"), qn("c:strRef")):  # noqa: SLF001
        first = reference.find(qn("c:f")).text.split("!")[1].split(":")[0]
        row, column = xl_cell_to_rowcol(first)
        for point in reference.iter(qn("c:pt")):
            text, place = point.find(qn("c:v")).text or "", row + int(point.get("idx"))
            if reference.tag == qn("c:numRef"):
                sheet.write_number(place, column, float(text))
            else:
                sheet.write_string(place, column, text)
    book.close()
    return content.getvalue()


def retheme(theme: bytes, font: str) -> bytes:
    """A theme with another font for its headings and its text."""
    tree = parse_xml(theme)
    for name in ("majorFont", "minorFont"):
        tree.find(f".//{qn(f'a:{name}')}/{qn('a:latin')}").set("typeface", font)
    return bytes(serialize_part_xml(tree))


def timeless(package: bytes) -> bytes:
    """The same ZIP file, its members without the time at which they were written."""
    content = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(package)) as old,
        zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            member = zipfile.ZipInfo(name, EPOCH)
            member.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(member, old.read(name))
    return content.getvalue()
