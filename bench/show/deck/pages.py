"""Slides -> a deck: pages of 13.33 x 7.5 inches with title, picture, footer and notes.

Titles, footers and numbers are placeholders and the font is the theme's, so that a slide that is
pasted into another deck takes on its looks.
"""

import io
from collections.abc import Sequence
from typing import Any

from pptx import Presentation
from pptx.enum.shapes import MSO_SHAPE
from pptx.enum.text import MSO_ANCHOR
from pptx.opc.constants import RELATIONSHIP_TYPE
from pptx.oxml.ns import qn
from pptx.util import Inches, Pt

from bench.show.charts import fit
from bench.show.deck import brush, native, oxml
from bench.show.deck.story import Points, Slide, Story

WIDE, TALL = 40 / 3, 7.5  # inches
MARGIN = 0.55
FONT = "Arial"  # every PowerPoint has it; narrower than the font that text is measured in
KEPT = ("Title Slide", "Title and Content", "Title Only")

TITLE, SUBTITLE, BODY, SMALL, LEAST = 26.0, 16.0, 20.0, 12.0, 14.0  # points
TITLE_LINES, SAID_LINES, GONE_LINES = 2, 2, 2
ROOM = WIDE - 2 * MARGIN
TITLE_BOX = brush.Box(MARGIN, 0.3, ROOM, TITLE_LINES * TITLE * fit.LEADING / 72)
FOOTER_BOX = brush.Box(MARGIN, 7.0, ROOM - 0.8, 0.3)
NUMBER_BOX = brush.Box(WIDE - MARGIN - 0.7, 7.0, 0.7, 0.3)
BAR_BOX = brush.Box(MARGIN, 1.3, 0.07, 5.0)
ACCENT = "numpy_matmul"  # whose colour the title's line has
END = FOOTER_BOX.top - 0.05


def deck(story: Story) -> bytes:
    """A .pptx file: the same bytes for the same story."""
    made = Presentation()
    made.slide_width, made.slide_height = Inches(WIDE), Inches(TALL)
    oxml.blank(made)
    _design(made)
    _front(made, story)
    for number, slide in enumerate(story.slides, 2):
        _page(made, slide, story, number)
    properties = made.core_properties
    properties.title, properties.subject = story.title, "python -m bench report"
    properties.author = properties.last_modified_by = ""
    properties.created = properties.modified = story.made.replace(tzinfo=None)
    content = io.BytesIO()
    made.save(content)
    return oxml.timeless(content.getvalue())


# --- the design: on the master and its layouts, where a user would change it


def _design(made: Any) -> None:
    """python-pptx's own template is 4:3: keep three layouts, for this page and in our font."""
    master = made.slide_master
    theme = master.part.part_related_by(RELATIONSHIP_TYPE.THEME)
    theme.blob = oxml.retheme(theme.blob, FONT)
    for layout in list(made.slide_layouts):
        if layout.name not in KEPT:
            made.slide_layouts.remove(layout)
    oxml.style_titles(master, TITLE)
    for page in (master, *made.slide_layouts):
        for place in list(page.placeholders):
            _place(place)


def _place(place: Any) -> None:
    kind = place.placeholder_format.type.name
    if kind == "DATE":  # the footer says when
        place._element.getparent().remove(place._element)  # noqa: SLF001
        return
    box = {
        "CENTER_TITLE": brush.Box(MARGIN + 0.3, 1.3, ROOM - 0.6, 2.9),
        "SUBTITLE": brush.Box(MARGIN + 0.3, 4.5, ROOM - 0.6, 1.8),
        "TITLE": TITLE_BOX,
        "FOOTER": FOOTER_BOX,
        "SLIDE_NUMBER": NUMBER_BOX,
    }.get(kind, brush.Box(MARGIN, 2.1, ROOM, END - 2.1))
    place.left, place.top, place.width, place.height = box.emu
    frame = place.text_frame
    frame.margin_left = frame.margin_right = frame.margin_top = frame.margin_bottom = 0
    frame.vertical_anchor = {
        **dict.fromkeys(("TITLE", "CENTER_TITLE"), MSO_ANCHOR.BOTTOM),
        **dict.fromkeys(("FOOTER", "SLIDE_NUMBER"), MSO_ANCHOR.MIDDLE),
    }.get(kind, MSO_ANCHOR.TOP)
    if kind in ("FOOTER", "SLIDE_NUMBER"):
        oxml.style_list(place, SMALL, brush.THEME.muted, "l" if kind == "FOOTER" else "r")
    elif kind == "SUBTITLE":
        oxml.style_list(place, BODY, brush.THEME.muted, "l")


# --- the pages


def _front(made: Any, story: Story) -> None:
    page = made.slides.add_slide(_layout(made, "Title Slide"))
    title, below = page.placeholders[0], page.placeholders[1]
    size = fit.fitting(story.title, 36, LEAST, ROOM - 0.6, 5)
    _paragraphs(title.text_frame, [story.title], size)
    said = [
        "One forward step of a dense layer, A_out = g(A_in @ W + b), timed several ways",
        *story.machine,
    ]
    _paragraphs(below.text_frame, said, 18)
    bar = page.shapes.add_shape(MSO_SHAPE.RECTANGLE, *BAR_BOX.emu)
    bar.fill.solid()
    bar.fill.fore_color.rgb = brush.rgb(brush.THEME.line(ACCENT))
    bar.line.fill.background()
    bar.name = "Line"
    oxml.to_layout(bar, page.slide_layout)
    _foot(page, story.footer, 1)
    page.notes_slide.notes_text_frame.text = story.notes


def _page(made: Any, slide: Slide, story: Story, number: int) -> None:
    points = isinstance(slide.body, Points)
    page = made.slides.add_slide(_layout(made, "Title and Content" if points else "Title Only"))
    size = fit.fitting(slide.title, TITLE, LEAST, ROOM, TITLE_LINES)
    _paragraphs(page.shapes.title.text_frame, [slide.title], size)
    top = TITLE_BOX.top + TITLE_BOX.height + 0.05  # the same on every slide
    tall = _height(slide.subtitle, SUBTITLE, ROOM)
    _words(page, brush.Box(MARGIN, top, ROOM, tall), [slide.subtitle], SUBTITLE)
    top += tall + 0.1
    gone = fit.not_shown(slide.missing, ROOM, SMALL, GONE_LINES)
    end = END - len(gone) * SMALL * fit.LEADING / 72
    if gone:
        _words(page, brush.Box(MARGIN, end, ROOM, END - end), [" ".join(gone)], SMALL)
    box = brush.Box(MARGIN, top, ROOM, end - top - 0.05)
    if isinstance(slide.body, Points):
        body = page.placeholders[1]
        body.left, body.top, body.width, body.height = box.emu
        said = _few(slide.body.points, box)
        _paragraphs(body.text_frame, said, BODY, space=10)
    else:
        native.draw(page, slide.body, box, slide.alt, story.made)
    _foot(page, slide.footer, number)
    page.notes_slide.notes_text_frame.text = slide.notes


def _layout(made: Any, name: str) -> Any:
    return next(layout for layout in made.slide_layouts if layout.name == name)


def _foot(page: Any, text: str, number: int) -> None:
    """The layout's footer and number, which python-pptx leaves out of a new slide."""
    for place in page.slide_layout.placeholders:
        kind = place.placeholder_format.type.name
        if kind in ("FOOTER", "SLIDE_NUMBER"):
            mine = oxml.adopt(page, place)
            if kind == "FOOTER":
                size = SMALL
                while size > 8 and fit.width_of(text, size) > FOOTER_BOX.width:
                    size -= 0.5
                _paragraphs(mine.text_frame, [_cut(text, size)], size)
            else:
                oxml.say_number(mine, number)


def _cut(text: str, size: float) -> str:
    """As much of a footer as one line holds."""
    while fit.width_of(text, size) > FOOTER_BOX.width:
        text = text[:-2].rstrip() + "…"
    return text


def _few(points: Sequence[str], box: brush.Box) -> list[str]:
    """As many sentences as the page holds, then how many more there are."""
    kept = list(points)

    def tall(lines: Sequence[str]) -> float:
        room = box.width - 0.5
        return sum(_height(line, BODY, room) + 10 / 72 for line in lines)

    def said() -> list[str]:
        rest = len(points) - len(kept)
        return kept + ([f"and {rest} more, see cells.csv"] if rest else [])

    while len(kept) > 1 and tall(said()) > box.height:
        kept.pop()
    return said()


def _height(text: str, size: float, room: float) -> float:
    """Inches that a paragraph takes."""
    return len(fit.wrapped(text, room, size)) * size * fit.LEADING / 72


def _words(page: Any, box: brush.Box, lines: Sequence[str], size: float) -> None:
    frame = page.shapes.add_textbox(*box.emu).text_frame
    frame.margin_left = frame.margin_right = frame.margin_top = frame.margin_bottom = 0
    frame.word_wrap = True
    _paragraphs(frame, lines, size, colour=brush.THEME.muted)


def _paragraphs(
    frame: Any, lines: Sequence[str], size: float, colour: str | None = None, space: float = 0
) -> None:
    for i, line in enumerate(lines):
        paragraph = frame.paragraphs[0] if i == 0 else frame.add_paragraph()
        for old in paragraph._p.findall(qn("a:fld")):  # noqa: SLF001
            paragraph._p.remove(old)  # noqa: SLF001
        run = paragraph.add_run()
        run.text, run.font.size = line, Pt(size)
        if colour:
            run.font.color.rgb = brush.rgb(colour)
        if space:
            paragraph.space_after = Pt(space)
