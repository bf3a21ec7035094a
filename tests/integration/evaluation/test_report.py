"""The page of a day: complete, self-contained, without ids, the same when written again."""

from __future__ import annotations

import re
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import pytest

from recpipe.evaluation.day_outcomes import evaluate_day

DAY = date(2026, 3, 15)


@pytest.fixture
def page(settings) -> str:
    return Path(evaluate_day(settings, DAY)["report"]).read_text(encoding="utf-8")


def test_the_page_stands_among_the_reports(settings):
    assert evaluate_day(settings, DAY)["report"] == str(settings.places.reports / "outcomes-2026-03-15.html")
    assert sorted(path.name for path in settings.places.reports.glob("*.html")) == ["outcomes-2026-03-15.html"]


def test_the_page_says_which_lists_and_how_good(page):
    assert "Outcomes of Sunday, 8 March 2026" in page
    assert "9 users had a list; 4 of them met an item in the 7 days after it that was new to them." in page
    assert "model version 3" in page
    assert "0.5327" in page
    assert "too few" in page
    assert page.count("<svg") == 5
    assert "Nights with a measured newcomer: 1 in 28 days and 1 in 91 days of lists up to 8 March 2026." in page


def test_the_page_loads_nothing_and_runs_nothing(page):
    assert not re.search(r"<script|<link|<img|url\((?!#)|@import", page)
    # a name of a format in the pictures is no address that a browser asks
    assert not re.search(r"(?:src|(?<!xlink:)href)=[\"']\s*http", page)


def test_no_user_id_stands_in_the_page(page):
    text = re.sub(r"<svg.*?</svg>|<style.*?</style>", "", page, flags=re.S)
    assert not re.search(r"\b[wz]\d\b", text)


def test_the_page_is_the_same_when_written_again(settings, page):
    assert Path(evaluate_day(settings, DAY)["report"]).read_text(encoding="utf-8") == re.sub("", "", page)


def test_every_tag_is_closed(page):
    open_tags: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "br", "path", "use"):
                open_tags.append(tag)

        def handle_endtag(self, tag):
            if tag not in ("path", "use"):
                assert open_tags.pop() == tag

    Reader().feed(page)
    assert open_tags == []
