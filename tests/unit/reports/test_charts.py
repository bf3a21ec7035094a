"""Charts within a page take its colours, say their numbers, and hold nothing that the page's policy refuses."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest

from recpipe.reports.charts import PALETTE, figure_of, styled, svg_of
from recpipe.reports.marks import Point, draw_dots, draw_lines
from recpipe.reports.newcomers import newcomer_svg
from recpipe.reports.render import TEMPLATES
from recpipe.reports.series import COLOURS

CSS = (TEMPLATES / "page.css").read_text(encoding="utf-8")
DAYS = [date(2011, 9, 1) + timedelta(days=n) for n in range(4)]
CELLS = {
    ("k=0", "stack"): Point(0.5, 0.25, 0.75, 1200),
    ("k=0", "popularity"): Point(0.25, None, None, 1200),
    ("k=3", "stack"): Point(None, None, None, 3),
}


def schemes() -> list[dict[str, str]]:
    """Return the colours of light and of dark, by name."""
    return [dict(re.findall(r"--([a-z-]+): (#\w{6});", block)) for block in re.findall(r":root {(.*?)}", CSS, re.S)]


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@styled()
def lines(points: dict[str, list[Point | None]]) -> str:
    figure, axes = figure_of(2.4)
    draw_lines(axes, DAYS, points)
    return str(svg_of(figure, 'nDCG of "all" <users>'))


def test_every_colour_has_a_light_and_a_dark_form():
    light, dark = schemes()
    assert light == PALETTE
    assert set(light) == set(dark)
    assert {*COLOURS.values(), "other"} <= set(light)
    assert len(set(light.values())) == len(light)  # an SVG finds the name of a colour by its value


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_letters_can_be_read(scheme: int):
    colours = schemes()[scheme]
    for name in ("ink", "soft", "green", "amber", "red", "blue"):
        assert contrast(colours[name], colours["paper"]) >= 4.5, name
    for name in ("green", "amber", "red"):
        assert contrast(colours[name], colours[f"{name}-ground"]) >= 4.5, name
    for name in COLOURS.values():
        assert contrast(colours[name], colours["paper"]) >= 3, name


def test_a_chart_follows_the_page_into_the_dark_and_has_no_style_of_its_own():
    drawn = newcomer_svg(CELLS, ["k=0", "k=3"], ["stack", "popularity"], "nDCG@10")
    assert not re.search(r"style|<script|<image|http|\bon\w+=|font-family", drawn)
    assert 'fill="var(--blue)"' in drawn
    colours = set(re.findall(r'(?:fill|stroke)="([^"]*)"', drawn))
    assert all(re.fullmatch(r"none|var\(--[a-z]+\)", colour) for colour in colours), colours


def test_dots_say_their_numbers_and_where_there_are_too_few():
    drawn = newcomer_svg(CELLS, ["k=0", "k=3"], ["stack", "popularity"], "nDCG@10")
    assert re.findall(r"<title>(.*?)</title>", drawn) == [
        "stack of closed forms, nothing known: 0.5000 (0.2500 to 0.7500), 1,200 persons",
        "popularity, best window, nothing known: 0.2500, 1,200 persons",
    ]
    assert drawn.count("too few</text>") == 1


def test_each_day_of_a_line_says_its_number_and_a_day_without_one_is_a_gap():
    middle = Point(0.5, 0.25, 0.75, 40)
    drawn = lines({"lists": [middle, None, Point(None, None, None, 2), middle], "popularity": [None] * 4})
    assert re.findall(r"<title>(.*?)</title>", drawn) == [
        "published lists, 2011-09-01: 0.500 (0.250 to 0.750), 40 users",
        "published lists, 2011-09-04: 0.500 (0.250 to 0.750), 40 users",
    ]
    green = re.findall(r'<path d="([^"]*)"[^>]*stroke="var\(--green\)" stroke-width', drawn)
    assert not any("L" in path for path in green)  # no stroke leads over the days between
    assert 'aria-label="nDCG of &quot;all&quot; &lt;users&gt;"' in drawn


def test_names_of_others_are_no_markup_and_no_formula():
    @styled()
    def drawn() -> str:
        figure, axes = figure_of(2.0)
        draw_dots(axes, {("x", "lists"): Point(0.5, 0.4, 0.6, 30)}, {"x": '<b>$x$\u202e & style="more"'}, {"lists": "nDCG"})
        return str(svg_of(figure, "groups"))

    found = drawn()
    assert "<b>" not in found
    assert '>&lt;b&gt;$x$\\u202e &amp; style="more"</text>' in found
    assert "<title>nDCG, &lt;b&gt;$x$\\u202e &amp; style=&quot;more&quot;: 0.5000 (0.4000 to 0.6000), 30 users</title>" in found


def test_a_chart_is_the_same_when_drawn_again():
    points = {"lists": [Point(0.5, 0.25, 0.75, 40)] * 4}
    assert lines(points) == lines(points)
