"""Every template has the one look, loads nothing, runs nothing, and shows what others wrote as text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

import recpipe
from recpipe.reports.render import TEMPLATES, environment, render, write_page

WEB = Path(recpipe.__file__).parent / "airflow" / "web" / "templates"
PAGES = sorted([*TEMPLATES.glob("*.html"), *WEB.glob("*.html")])
WHOLE = {
    "run": "a\u202eb<i>",
    "at": "2011-09-01",
    "tables": {"events": {"rows": 1234, "days": 1, "files": 2, "bytes": 3}},
    "left": [],
}


def erasure(**changed: object) -> str:
    return render(
        "erasure.html", **{"whole": WHOLE, "headline": "1 user", "columns": ("rows", "days", "files", "bytes")} | changed
    )


@pytest.mark.parametrize("template", PAGES, ids=lambda file: file.name)
def test_a_template_extends_the_base_and_brings_no_style_or_script(template: Path):
    text = template.read_text(encoding="utf-8")
    assert not re.search(r"<script|<img|\bstyle=|\bon[a-z]+=|http", text)
    if template.parent == TEMPLATES and template.name == "base.html":
        assert text.count("<style>") == 1
    else:
        assert "<style" not in text
        assert "{% block page %}" not in text or re.match(r'{% extends "(base|site)\.html" %}', text)


def test_no_module_writes_html_by_hand():
    folder = Path(recpipe.__file__).parent
    tag = re.compile(r"""["'][^"'\n]*</?(?:html|body|section|table|tr|td|div|h[1-6]|ul|li)[ >]""")
    found = [str(file.relative_to(folder)) for file in folder.rglob("*.py") if tag.search(file.read_text(encoding="utf-8"))]
    assert found == []


def test_a_report_holds_its_style_and_the_web_pages_load_the_same_file():
    css = (TEMPLATES / "page.css").read_text(encoding="utf-8")
    page = erasure()
    assert f"<style>\n{css.strip()}</style>" in page
    assert not re.search(r"<link|src=|url\(|@import|http", page)
    web = environment(WEB).get_template("nothing.html").render(root="/recpipe")
    assert '<link rel="stylesheet" href="/recpipe/static/page.css">' in web
    assert "<style" not in web


def test_what_others_wrote_is_text_and_turns_nothing():
    page = erasure()
    assert "Run a\\u202eb&lt;i&gt;, 2011-09-01." in page
    assert '<td class="number">1,234</td>' in page
    assert erasure(headline=Markup("<b>made here</b>")).count("<b>made here</b>") == 1


def test_a_value_that_is_not_given_is_an_error():
    with pytest.raises(UndefinedError, match="headline"):
        render("erasure.html", whole=WHOLE, columns=())


def test_a_page_is_written_whole_with_its_folders(tmp_path: Path):
    file = write_page(tmp_path / "reports" / "new" / "page.html", "é")
    assert file.read_bytes() == "é".encode()
    assert write_page(file, "later").read_text() == "later"
    assert [path.name for path in file.parent.iterdir()] == ["page.html"]


def test_an_interval_without_an_upper_end_is_open():
    from recpipe.reports.numbers import Cell, cell_of

    assert cell_of({"value": 2.0, "ci_low": 1.5, "ci_high": None}, ".2f") == Cell("2.00", "1.50 – more")
    assert cell_of({"value": 0.25, "ci_low": None, "ci_high": None}, ".1%") == Cell("25.0%")
    assert cell_of({"value": None, "ci_low": None, "ci_high": None}, ".1%", "–") == Cell("–", known=False)
