"""The chart of scaling by number of devices: what it says, and that nothing on it touches."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from pictures import faults, said

from bench.show.charts import pen
from bench.show.charts.page import Sheet
from bench.show.pictures import scaling
from bench.show.pictures.parts import looks
from bench.show.pictures.parts.picture import Lines, Nothing
from bench.show.pictures.scaling import Point, What

COUNTS = (1, 2, 4, 8)


def made(kernels: Sequence[str] = ("jax_sharded", "dask_matmul")) -> list[Point]:
    """The first kernel loses nothing, the next a tenth of its speed with each doubling, and so on;
    5 % either way.
    """
    points = []
    for number, kernel in enumerate(kernels):
        for doublings, count in enumerate(COUNTS):
            weak = 0.01 * (number + 1) * (1 + 0.1 * number) ** doublings
            ends = weak / 1.05, weak * 1.05, 3
            point = Point("weak", kernel, count, 512, 256 * count, 64, weak, *ends)
            s = 4 * weak / count
            points += [
                point,
                replace(
                    point, kind="strong", n_units=1024, seconds=s, low_s=s / 1.05, high_s=s * 1.05
                ),
            ]
    return points


def body(points: Sequence[Point], what: What) -> Lines:
    found = scaling.picture(points, what, "here").body
    assert isinstance(found, Lines)
    return found


def test_a_panel_each_for_the_same_layer_and_for_one_that_grows() -> None:
    strong, weak = body(made(), "time").panels
    assert strong.title == "strong: 512 x 1024"
    assert weak.title == "weak: 512 x 256 a device"
    assert [line.kernel for line in strong.lines] == ["jax_sharded", "dask_matmul"]
    assert strong.lines[0].y == pytest.approx([0.04, 0.02, 0.01, 0.005])
    assert strong.lines[0].low == pytest.approx([y / 1.05 for y in strong.lines[0].y])
    assert weak.lines[0].y == pytest.approx([0.01] * 4)


def test_the_ideal_begins_where_each_kernel_does() -> None:
    strong, weak = body(made(), "time").panels
    assert [list(guide.y) for guide in strong.guides] == [
        pytest.approx([first / count for count in COUNTS]) for first in (0.04, 0.08)
    ]
    assert [list(guide.y) for guide in weak.guides] == [
        pytest.approx([first] * 4) for first in (0.01, 0.02)
    ]
    (ideal,) = body(made(), "efficiency").panels[0].guides
    assert list(ideal.y) == [100, 100]


def test_efficiency_is_the_promised_time_in_per_cent_of_the_time() -> None:
    drawn = body(made(), "efficiency")
    for panel in drawn.panels:
        perfect, lossy = panel.lines
        assert perfect.y == pytest.approx([100] * 4)
        assert lossy.y == pytest.approx([100 / 1.1**n for n in range(4)])
        # by definition at the first count; then both times are known to 5 % only
        assert lossy.low == pytest.approx([100] + [100 / 1.1**n / 1.05**2 for n in (1, 2, 3)])
        assert lossy.high == pytest.approx([100] + [100 / 1.1**n * 1.05**2 for n in (1, 2, 3)])
    assert drawn.y.ends == (0, 120)


def test_its_title_is_what_the_same_layer_gains_most() -> None:
    title = scaling.picture(made(), "time", "here").title
    assert title.startswith("JAX over all devices is 8")
    assert title.endswith(" as fast with 8 devices as with 1")
    slower = [replace(p, seconds=p.seconds * p.devices**2) for p in made()]
    assert scaling.picture(slower, "time", "here").title == "More devices make no layer here faster"


def test_its_two_kernels_have_looks_of_their_own() -> None:
    one, other = looks.look("jax_sharded"), looks.look("dask_matmul")
    assert one.colour != other.colour
    assert one.marker != other.marker
    assert one.dash != other.dash


def test_a_count_that_a_kernel_lacks_is_a_gap() -> None:
    points = [p for p in made() if (p.kernel, p.devices) != ("dask_matmul", 4)]
    line = body(points, "time").panels[0].lines[1]
    assert [y > 0 for y in line.y] == [True, True, False, True]


def test_one_count_is_no_scaling() -> None:
    picture = scaling.picture([p for p in made() if p.devices == 2], "time", "here")
    assert isinstance(picture.body, Nothing)
    assert "one number of devices only" in said(pen.draw(picture, Sheet()))


AWKWARD = {
    "usual": made(),
    "one kernel": made(["jax_sharded"]),
    "a long name": made(
        ["a_kernel_with_a_name_that_is_far_too_long_for_a_slide_" * 3, "dask_matmul"]
    ),
    "many kernels": made([f"kernel_{n}" for n in range(9)]),
    "strong alone": [p for p in made() if p.kind == "strong"],
    "two counts": [p for p in made() if p.devices < 4],
    "faster than ideal": [replace(p, seconds=p.seconds / p.devices) for p in made()],
    "one count": [p for p in made() if p.devices == 1],
}


@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.parametrize("what", ["time", "efficiency"])
@pytest.mark.parametrize("sheet", [Sheet(), Sheet("dark", "paper")], ids=["slide", "dark paper"])
def test_no_two_words_touch(name: str, what: What, sheet: Sheet) -> None:
    assert faults(pen.draw(scaling.picture(AWKWARD[name], what, "a CPU"), sheet)) == []
