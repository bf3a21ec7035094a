"""What is read from a search text: limits in four languages, denials, names of the catalogue; and a file of words that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recpipe.config.settings import load_settings
from recpipe.errors import BadSetting
from recpipe.tables.search.search_names import find_names, learn_names
from recpipe.tables.search.search_words import KINDS, load_words
from recpipe.tables.search.wishes import amount, names, names_none, read_wish
from recpipe.text.lexical import fold, words_of
from recpipe.text.queries import is_personal, normalise

WORDS = load_words(load_settings().searches)


def limits(text: str) -> tuple[float | None, float | None, str]:
    wish = read_wish(normalise(text), WORDS)
    return wish.low, wish.high, wish.rest


@pytest.mark.parametrize(
    ("text", "low", "high", "rest"),
    [
        ("Mug under £20", None, 20, "mug"),
        ("Tasse unter 20 Euro", None, 20, "tasse"),
        ("below 15", None, 15, ""),
        ("20-30 € bag", 20, 30, "bag"),
        ("£20 - £30 bag", 20, 30, "bag"),
        ("lampe entre 5 et 10 euros", 5, 10, "lampe"),
        ("Lampe zwischen 5 und 10", 5, 10, "lampe"),
        ("¥100以下 洗发水", None, 100, "洗发水"),
        ("100元以内的口红", None, 100, "的口红"),
        ("50到100元 茶", 50, 100, "茶"),
        ("低于50 茶", None, 50, "茶"),
        ("clock under 1,000.50", None, 1000.5, "clock"),
        ("Uhr unter 1.000,50 €", None, 1000.5, "uhr"),
        ("Uhr bis 1 000 €", None, 1000, "uhr"),
        ("Seife bis 9,99€", None, 9.99, "seife"),
        ("soap max 3", None, None, "soap max 3"),
        ("Seife 20,- € oder weniger", None, 20, "seife"),
        ("at least $20 lamp", 20, None, "lamp"),
        ("lamp < 20", None, 20, "lamp"),
        ("lamp <20€, >5€", 5, 20, "lamp ,"),
        ("lamp under 20 and under 10", None, 10, "lamp and"),
        ("cream for women over 50", None, None, "cream for women over 50"),
        ("bottle under 100 ml", None, None, "bottle under 100 ml"),
        ("shelf under 20x30 cm", None, None, "shelf under 20x30 cm"),
        ("toys from 3 to 5 years", None, None, "toys from 3 to 5 years"),
        ("under eye cream", None, None, "under eye cream"),
        ("no 5 perfume", None, None, "no 5 perfume"),
        ("iphone 12 64 128gb", None, None, "iphone 12 64 128gb"),
    ],
)
def test_limits_of_the_price(text, low, high, rest):
    assert limits(text) == (low, high, rest)


@settings(deadline=None)
@given(st.integers(0, 99_999_99), st.sampled_from(["1,234.5", "1.234,5", "1 234,5", "1234.5"]))
def test_an_amount_is_read_however_it_is_written(cents, form):
    whole, part = divmod(cents, 100)
    thousands, point = (form[1] if len(form) == 7 else ""), form[-2]
    text = f"{whole:,}".replace(",", thousands) + f"{point}{part:02d}"
    assert amount(text) == pytest.approx(cents / 100)


@settings(deadline=None)
@given(
    st.integers(1, 9_999),
    st.sampled_from(["under £{0}", "unter {0} Euro", "moins de {0} €", "{0}元以下", "<{0}", "{0} € or less"]),
)
def test_a_limit_is_read_wherever_it_stands(high, form):
    for text in (form.format(high) + " red lamp", "red lamp " + form.format(high)):
        assert limits(text) == (None, high, "red lamp")


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("soap without parfum", ("parfum",)),
        ("no sulfate shampoo", ("sulfate",)),
        ("sulfate-free shampoo", ("sulfate",)),
        ("Duschgel ohne Parabene und Silikone", ("parabene", "silikone")),
        ("sulfatfreies Shampoo", ("sulfat",)),
        ("creme sans le parfum", ("parfum",)),
        ("不含香精的洗发水", ("香精",)),
        ("no 5 perfume", ()),
        ("soap", ()),
    ],
)
def test_what_must_not_be_in_it(text, without):
    assert read_wish(normalise(text), WORDS).without == without


@pytest.mark.parametrize(
    ("text", "word", "is_named"),
    [
        ("soap with parfum", "parfum", True),
        ("soap with parfumes", "parfum", True),
        ("soap without parfum", "parfum", False),
        ("no parabens, sulfates or parfum", "parfum", False),
        ("paraben-free, with parfum", "parfum", True),
        ("parfum-free soap", "parfum", False),
        ("no sulfate. parfum of roses", "parfum", True),
        ("Seife, parfumfrei", "parfum", False),
        ("soap of roses", "parfum", False),
        ("无香精洗发水", "香精", False),
        ("香精洗发水", "香精", True),
    ],
)
def test_what_an_item_says_that_it_does_without_is_not_named(text, word, is_named):
    assert names(names_none(fold(text), WORDS), word, WORDS) is is_named


def test_cheap_in_four_languages():
    assert all(
        read_wish(text, WORDS).cheap for text in ("cheap mug", "gunstige tasse", "günstige tasse", "tasse pas cher", "便宜的杯子")
    )
    assert not read_wish("mug", WORDS).cheap


@pytest.mark.parametrize(
    ("text", "personal"),
    [
        ("ann@example.org", True),
        ("call 0151 234 5678", True),
        ("+44 (0)20 7946-0958", True),
        ("5901234123457", True),
        ("a " * 101, True),
        ("mug under 1,000.00", False),
        ("lego 10294", False),
        ("20-30 € mug", False),
    ],
)
def test_texts_that_may_hold_more_of_a_person(text, personal):
    assert is_personal(normalise(text)) is personal


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_can_be_read_and_listed_once(text):
    listed = normalise(text)
    assert normalise(listed) == listed
    wish = read_wish(listed, WORDS)
    assert wish.text == listed
    assert set(wish.shown) <= set(words_of(" ".join(wish.shown.values()))) | set(wish.shown.values())


# --- names of the catalogue ---------------------------------------------------------------------------------------

CUPS, OILS, POTS, MEN = ("home", "Cups & Mugs"), ("bath", "Oils"), ("home", "Pots"), ("scent", "Men's")
ITEMS = [
    ("Red cup", CUPS, "Acme"), ("Blue mug", CUPS, "Acme"), ("Cup for men", CUPS, "Pure"), ("Pot", POTS, "Pure"),
    ("Rose oil", OILS, ""), ("Oil lamp", POTS, ""), ("Pot of oil", POTS, ""), ("Pure water for men", MEN, ""),
    ("Pure rose", MEN, ""), ("Pure soap", OILS, ""), ("洗发水 红", ("bath", "洗发水"), ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "paths", "brand"),
    [
        ("red cups", (CUPS,), ""),
        ("mug", (CUPS,), ""),
        ("becher", (CUPS,), ""),  # a synonym of mug
        ("cup for men", (CUPS,), ""),  # two categories without a common item: that of the titles that hold both
        ("rose oil", (), ""),  # most items with oil in their title lie elsewhere
        ("oils", (OILS,), ""),  # the whole name, and nothing else
        ("acme mug", (CUPS,), "Acme"),
        ("pure rose", (), ""),  # most items with pure in their title are of no brand
        ("男士洗发水", (("bath", "洗发水"),), ""),
        ("lamp", (), ""),
    ],
)
def test_names_of_the_catalogue(text, paths, brand):
    known = learn_names(
        [title for title, *_ in ITEMS], [path for _, path, _ in ITEMS], [brand for *_, brand in ITEMS], WORDS.synonyms
    )
    found = find_names(known, fold(text), len(set(words_of(fold(text)))))
    assert (found.paths, found.brand) == (paths, brand)


# --- the file of words --------------------------------------------------------------------------------------------


def of_file(folder: Path, text: str) -> None:
    file = folder / "words.yaml"
    file.write_text(text)
    load_words(load_settings(search_words=str(file)).searches)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("languages:\n  en:\n    under: [below]\n", r"line 3: Language en knows no 'under'; it may have: below, "),
        ("languages:\n  en:\n    below: under\n", r"line 3: below has to be a list"),
        ("languages:\n  en:\n    below: [under, [less]]\n", r"line 3: below holds an entry that is no word"),
        ("languages:\n  en:\n    below: [under]\n    below: [less]\n", r"line 4: Language en has 'below' twice"),
        ("words: [a]\n", r"line 1: The file knows no 'words'"),
        ("- a\n", r"line 1: The file has to be a mapping"),
        ("", r"line 1: The file has to be a mapping"),
        ("languages: {en: [\n", r"this is no YAML"),
        ('currency: [""]\n', r"line 1: currency holds an entry that is no word"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_line(tmp_path, text, says):
    with pytest.raises(BadSetting, match=says):
        of_file(tmp_path, text)


def test_there_has_to_be_a_file(tmp_path):
    with pytest.raises(BadSetting, match="RECPIPE_SEARCH_WORDS: there is no file"):
        load_words(load_settings(search_words=str(tmp_path / "none.yaml")).searches)


def test_a_shop_can_bring_its_own_words(tmp_path):
    file = tmp_path / "words.yaml"
    file.write_text("currency: [kr]\nlanguages:\n  sv:\n    below: [under, no]\n    without: [utan]\n")
    words = load_words(load_settings(search_words=str(file)).searches)
    assert words.kinds["below"] == ("under", "no")  # a bare no is a word, not false
    wish = read_wish("lampa under 200 kr utan sladd", words)
    assert (wish.high, wish.without, wish.rest) == (200, ("sladd",), "lampa utan sladd")
    assert set(words.kinds) == {*KINDS, "currency", "units"}
