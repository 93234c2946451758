"""Who can't see colours as most do, or has printed them in grey, can tell the kernels apart."""

import itertools
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from bench.show import charts
from bench.show.pictures.parts import looks

USUAL = ("python_loop", "numpy_dot", "numpy_matmul", "cupy_matmul")
KNOWN = tuple(looks.KNOWN)
KERNELS = (*KNOWN, *(f"kernel_{i}" for i in range(200)))
FAR = 15.0  # Euclidean distance in CIELAB; 2.3 can just be noticed side by side
FAR_IN_GREY = 6.0  # of lightness, 0 to 100

# Machado, Oliveira & Fernandes, "A Physiologically-based Model for Simulation of Color Vision
# Deficiency", IEEE TVCG 15 (2009), severity 1.0: linear RGB as each kind of eye sees it.
EYES = {
    "usual": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def linear(colour: str) -> Any:
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: Any) -> Any:
    """CIELAB of linear sRGB, white D65."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    parts = to_xyz @ rgb / np.array([0.9505, 1, 1.089])
    x, y, z = np.where(parts > (6 / 29) ** 3, np.cbrt(parts), parts / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distance(eye: str, one: str, two: str) -> float:
    """How far apart two colours are to that kind of eye."""
    seen = [lab(np.clip(np.asarray(EYES[eye]) @ linear(colour), 0, 1)) for colour in (one, two)]
    return float(np.linalg.norm(seen[0] - seen[1]))


def in_grey(one: str, two: str) -> float:
    """How far apart their lightnesses are."""
    return float(abs(lab(linear(one))[0] - lab(linear(two))[0]))


def test_a_palette_that_fails_is_seen() -> None:
    assert distance("usual", "#CC3311", "#609840") > 50
    assert distance("protanopia", "#CC3311", "#4B6B1E") < FAR  # a red and a green, one to such eyes
    assert distance("tritanopia", "#009E73", "#3F8FD0") < FAR
    assert in_grey("#CC3311", "#0072B2") < FAR_IN_GREY


@pytest.mark.parametrize("theme", charts.THEMES)
@pytest.mark.parametrize("eye", EYES)
def test_no_two_known_kernels_look_alike_to_any_eye(theme: str, eye: str) -> None:
    line = looks.THEMES[theme].line
    for one, two in itertools.combinations(KNOWN, 2):
        assert distance(eye, line(one), line(two)) > FAR, (one, two)


@pytest.mark.parametrize("theme", charts.THEMES)
def test_the_usual_kernels_differ_in_grey_print_and_the_others_in_marker_and_dash(
    theme: str,
) -> None:
    line = looks.THEMES[theme].line
    for one, two in itertools.combinations(KNOWN, 2):
        a, b = looks.look(one), looks.look(two)
        alike = in_grey(line(one), line(two)) < FAR_IN_GREY
        assert not (alike and {one, two} <= set(USUAL)), (one, two)
        assert a.marker != b.marker, (one, two)
        assert a.dash != b.dash or not (alike or {one, two} <= set(USUAL)), (one, two)


def test_a_kernel_that_is_not_known_has_a_look_of_its_name_in_any_process() -> None:
    assert looks.look("mine") == looks.Look("#CC79A7", "octagon", looks.DASH_DOTS)
    assert {looks.look(k).marker for k in KERNELS[len(KNOWN) :]}.isdisjoint(
        {looks.look(k).marker for k in KNOWN}
    )


def test_contrast_is_wcag_s() -> None:
    assert looks.contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert looks.contrast("#767676", "#FFFFFF") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("theme", charts.THEMES)
def test_words_and_lines_have_contrast_enough(theme: str) -> None:
    colours = looks.THEMES[theme]
    for text in (colours.ink, colours.muted):
        assert looks.contrast(text, colours.paper) >= 4.5
        assert min(looks.contrast(text, colours.tint(kernel)) for kernel in KERNELS) >= 4.5
    for kernel in KERNELS:
        ground = colours.tint(kernel)
        assert looks.contrast(colours.text(kernel), colours.paper) >= 4.5, kernel
        assert looks.contrast(colours.text(kernel, ground), ground) >= 4.5, kernel
        assert looks.contrast(colours.line(kernel), colours.paper) >= 3, kernel
