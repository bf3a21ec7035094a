"""Files of knowledge are understood, or refused with every fault by file and line; never anything between."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from recpipe.cli.command import app
from recpipe.errors import BadSetting
from recpipe.rules.load import FILES, load_rules, understand
from recpipe.rules.model import NOTHING, AgeLimit, AgeSource, Block, Group, Knowledge, Name

DOCS = Path(__file__).parents[3] / "docs"


def of(**texts: str) -> Knowledge:
    return understand({f"{name}.yaml": text.encode() for name, text in texts.items()})


def faults(**texts: str) -> list[str]:
    """Return the lines of the refusal, without its first one."""
    with pytest.raises(BadSetting) as caught:
        of(**texts)
    return str(caught.value).splitlines()[1:]


# --- what is understood -------------------------------------------------------------------------------------------


def test_every_file_says_what_it_says():
    found = of(
        categories="paths: [Toys > Dolls, [Home]]\nrename:\n  - {from: Spielzeug, to: Toys}\nmerge:\n  - {into: Home, from: [House, [A, B]]}",
        substitutes="groups:\n  - name: cells\n    items: [00123, 'x']\n  - categories: [Toys > Dolls]",
        blocked="items:\n  - 7\n  - {id: 7b, from: 2011-09-01, until: 2011-09-02, countries: ['NO', Eire], why: recalled}\ncategories: [[Home]]",
        age_limits="age_from: {attribute: born, as: birth_year}\nlimits:\n  - age: 18\n    items: [7]\n    categories: [Home]",
    )  # fmt: skip
    assert found.tree.renames == {("Spielzeug",): ("Toys",), ("House",): ("Home",), ("A", "B"): ("Home",)}
    assert found.tree.allowed == {("Toys",), ("Toys", "Dolls"), ("Home",)}
    assert found.substitutes == (
        Group((Name("00123", (), 3), Name("x", (), 3))),
        Group((Name("", ("Toys", "Dolls"), 4),)),
    )
    assert found.blocked == (
        Block(Name("7", (), 2)),
        Block(Name("7b", (), 3), date(2011, 9, 1), date(2011, 9, 2), frozenset({"NO", "Eire"})),
        Block(Name("", ("Home",), 4)),
    )
    assert found.age_limits == (AgeLimit(Name("7", (), 4), 18), AgeLimit(Name("", ("Home",), 5), 18))
    assert found.age_source == AgeSource("born", "birth_year")


def test_empty_files_say_nothing():
    found = of(categories="# nothing yet\n", blocked="", substitutes="groups:\n", age_limits="limits: []\n")
    assert (found.tree, found.blocked, found.substitutes, found.age_limits) == (NOTHING.tree, (), (), ())


def test_the_tree_renames_what_lies_below_and_the_longest_path_wins():
    tree = of(categories="rename:\n  - {from: A, to: B}\n  - {from: A > X, to: C > Y}\n").tree
    paths = [("A",), ("A", "M"), ("A", "X"), ("A", "X", "N"), ("B", "A"), ()]
    assert tree.of_all(paths) == [("B",), ("B", "M"), ("C", "Y"), ("C", "Y", "N"), ("B", "A"), ()]


def test_the_tree_goes_no_deeper_than_its_paths():
    tree = of(categories="paths: [Toys > Dolls]\nrename: [{from: Toy, to: Toys}]\n").tree
    paths = [("Toy", "Dolls", "Barbie"), ("Toys", "Guns"), ("Guns",)]
    assert tree.of_all(paths) == [("Toys", "Dolls"), ("Toys",), ()]


def test_the_hash_is_of_names_and_contents():
    one, two = {"blocked.yaml": b"items: [a]"}, {"blocked.yaml": b"items: [ a]"}
    assert len({understand(files).sha256 for files in (one, two, one | {"substitutes.yaml": b""})}) == 3
    assert understand(dict(one)).sha256 == understand(one).sha256


# --- what is refused ----------------------------------------------------------------------------------------------

CATEGORY_FAULTS = [
    ("tree: 1\n", "1: the file has no key 'tree'"),
    ("rename:\n  - {from: A, to: B}\n  - {from: B, to: A}\n", "2: 'A' becomes 'B', which is itself renamed to 'A': the two go in a circle"),
    ("rename:\n  - {from: A, to: A > B}\n", "2: 'A' becomes 'A > B', .* circle"),
    ("rename:\n  - {from: A, to: B}\n  - {from: B, to: C}\n", "2: 'A' becomes 'B', which is itself renamed to 'C': write 'C' here"),
    ("rename:\n  - {from: A, to: B}\nmerge:\n  - into: C\n    from: [X, A]\n", "5: 'A' is renamed in line 2 already"),
    ("rename:\n  - {from: A, to: A}\n", "2: 'A' is renamed to itself"),
    ("rename:\n  - {from: A}\n", "2: a rename needs 'to'"),
    ("rename: {from: A}\n", "1: 'rename' has to be a list"),
    ("paths:\n  - A\n  - B\n  - A\n", "4: 'A' stands in line 2 already"),
    ("paths: [A]\nrename: [{from: B, to: C}]\n", "2: 'B' becomes 'C', which is not among 'paths'"),
    ("paths:\n  - A > B\nrename: [{from: A, to: A2}]\n", "2: 'A > B' is among 'paths', and is renamed to 'A2 > B'"),
    ("paths:\n  - []\n", "2: a category has no level"),
    ("paths:\n  - [A, '']\n", "2: a level of a category is empty"),
    ("paths:\n  - A > > B\n", "2: a category has a level that is empty"),
    ("paths:\n  - yes\n", '2: a category has to be a text, not \'yes\'. Write "yes", in quotes'),
    ("- A\n", "1: the file has to be a mapping"),
    ("paths: [A]\npaths: [B]\n", "2: the key 'paths' stands in line 1 already"),
    ("paths:\n  - A: [\n", "3: this is no YAML"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line"), CATEGORY_FAULTS)
def test_faults_of_the_tree(text, line):
    assert re.match(rf"categories\.yaml, line {line}", faults(categories=text)[0])


BLOCKED_FAULTS = [
    ("items:\n  - 1.5\n", "2: an item's id has to be a text, not '1.5'. Write \"1.5\", in quotes"),
    ("items:\n  - \n", "2: an item's id has to be a text, not nothing"),
    ("items:\n  - ' '\n", "2: an item's id is empty"),
    ('items:\n  - "\\uD800"\n', "2: an item's id holds a half of a character"),
    ("items:\n  - a\n  - a\n", "3: item 'a' is blocked in line 2 already"),
    ("items:\n  - {id: a, until: 2011-09-02}\n  - {id: a, from: 2011-09-02}\n", "3: item 'a' is blocked in line 2 already"),
    ("items:\n  - id: a\n    from: 2011-09-02\n    until: 2011-09-01\n", "4: it ends on 2011-09-01, before it begins on 2011-09-02"),
    ("items:\n  - {id: a, from: 2011-02-30}\n", "2: 'from' has to be a day, not '2011-02-30'. Write it as 2011-09-01"),
    ("items:\n  - {id: a, from: 2011-W01-1}\n", "2: 'from' has to be a day"),
    ("items:\n  - {from: 2011-01-01}\n", "2: an entry needs 'id'"),
    ("items:\n  - {id: a, since: 2011-01-01}\n", "2: an entry has no key 'since'"),
    ("items:\n  - {id: a, countries: []}\n", "2: 'countries' names none"),
    ("items:\n  - {id: a, countries: [NO]}\n", '2: a country has to be a text, not \'NO\'. Write "NO", in quotes'),
    ("items:\n  - {id: a, countries: [X, X]}\n", "2: a country is named twice"),
    ("categories:\n  - {path: [A, {b: c}]}\n", "2: a level of a category has to be a text, not a mapping"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line"), BLOCKED_FAULTS)
def test_faults_of_what_is_blocked(text, line):
    assert faults(blocked=text)[0].startswith(f"blocked.yaml, line {line}")


def test_an_item_may_be_blocked_at_two_times_and_in_two_countries():
    text = "items:\n  - {id: a, until: 2011-09-01}\n  - {id: a, from: 2011-09-02, countries: [X]}\n  - {id: a, from: 2011-09-02, countries: [Y]}"
    assert len(of(blocked=text).blocked) == 3


OTHER_FAULTS = [
    ("substitutes", "groups:\n  - items: [a, b]\n  - items: [c, a]\n", "3: item 'a' stands in line 2 already"),
    ("substitutes", "groups:\n  - items: [a]\n", "2: a group needs two items, or a category"),
    ("substitutes", "groups:\n  - {item: [a, b]}\n", "2: a group has no key 'item'"),
    ("age_limits", "limits:\n  - {age: 18, items: [a]}\n", "1: 'age_from' is missing"),
    ("age_limits", "age_from: {attribute: b, as: age}\nlimits:\n  - {age: 0, items: [a]}\n", "3: 'age' has to be a whole number"),
    ("age_limits", "age_from: {attribute: b, as: age}\nlimits:\n  - {items: [a]}\n", "3: a limit needs 'age'"),
    ("age_limits", "age_from: {attribute: b, as: age}\nlimits:\n  - {age: 18}\n", "3: a limit names no items"),
    ("age_limits", "age_from: {attribute: b, as: old}\n", "1: 'as' is 'old'. It has to be one of birth_date, birth_year, age"),
    ("age_limits", "age_from: {attribute: b, as: age}\nlimits:\n  - {age: 18, items: [a]}\n  - {age: 16, items: [a]}\n",
     "4: item 'a' stands in line 3 already"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "text", "line"), OTHER_FAULTS)
def test_faults_of_the_other_files(file, text, line):
    assert faults(**{file: text})[0].startswith(f"{file}.yaml, line {line}")


def test_all_faults_of_all_files_are_said_at_once():
    found = faults(
        categories="rename: [{from: Toy, to: Toys}]\n",
        blocked="items: [1.5]\ncategories:\n  - Toy > Guns\n",
        substitutes="groups:\n  - items: [a]\n",
        age_limits="limit: []\n",
    )
    assert [line.split(":")[0] for line in found] == [
        "substitutes.yaml, line 2", "blocked.yaml, line 1", "blocked.yaml, line 3", "age_limits.yaml, line 1",
    ]  # fmt: skip
    assert "'Toy > Guns' is called 'Toys > Guns' by categories.yaml" in found[2]


def test_a_category_outside_the_tree_is_a_fault():
    assert "not among the paths of categories.yaml" in faults(categories="paths: [A]", blocked="categories: [B]")[0]


def test_folders_that_are_amiss(tmp_path):
    with pytest.raises(BadSetting, match="there is no folder"):
        load_rules(tmp_path / "none")
    with pytest.raises(BadSetting, match=r"none of categories\.yaml"):
        load_rules(tmp_path)
    (tmp_path / "block.yaml").write_text("items: [a]")
    with pytest.raises(BadSetting, match=r"block\.yaml, line 1: no such file is known"):
        load_rules(tmp_path)
    (tmp_path / "block.yaml").rename(tmp_path / "blocked.yaml")
    (tmp_path / "README.md").write_text("for people")
    assert [block.name.item for block in load_rules(tmp_path).blocked] == ["a"]


# --- any text at all ----------------------------------------------------------------------------------------------

WORDS = ["paths", "rename", "merge", "into", "from", "to", "groups", "items", "categories", "id", "path", "until", "countries",
         "limits", "age", "age_from", "attribute", "as", "birth_year", "a", "b", "A > B", "18", "2011-09-01", "NO", "1.5"]  # fmt: skip
VALUE = st.recursive(
    st.sampled_from([*WORDS, None, True, 18, 1.5, date(2011, 9, 1)]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12,
)
TEXT = st.text(max_size=60) | VALUE.map(lambda value: yaml.safe_dump(value, allow_unicode=True))
FILE = TEXT.map(str.encode) | st.binary(max_size=40)


@settings(max_examples=150, deadline=None)
@example(dict.fromkeys(FILES, b'"\\UFFFFFFFF"'))
@example(dict.fromkeys(FILES, b"[" * 1500))
@example(dict.fromkeys(FILES, b"%YAML 1." + b"9" * 5000 + b"\n--- a"))
@example(dict.fromkeys(FILES, b"&a [*a]"))
@example(dict.fromkeys(FILES, b"items: &a [*a]\ncategories: *a\npaths: *a\ngroups: *a\nlimits: *a\n"))
@example(dict.fromkeys(FILES, b"? [a]\n: b\n"))
@example(dict.fromkeys(FILES, b"a: \xff"))
@example(dict.fromkeys(FILES, b"a: \x07"))
@example({"age_limits.yaml": b"limits: [{age: !!int x, items: [!!int [a]]}]"})
@given(st.dictionaries(st.sampled_from(FILES), FILE, max_size=4))
def test_any_text_is_understood_or_refused_by_line(files):
    try:
        assert isinstance(understand(files), Knowledge)
    except BadSetting as error:
        first, *lines = str(error).splitlines()
        assert first.startswith("RECPIPE_KNOWLEDGE: ")
        assert lines
        assert all(re.match(r"(\w+\.yaml, line [1-9]\d*: .+|… and \d+ more\.)", line) for line in lines)


# --- for people ---------------------------------------------------------------------------------------------------


def test_the_command_says_what_stands_in_a_folder_or_every_fault(tmp_path, monkeypatch):
    monkeypatch.setenv("RECPIPE_HOME", str(tmp_path / "home"))
    (tmp_path / "blocked.yaml").write_text("items: [a, b]\n")
    assert "2 blocked" in CliRunner().invoke(app, ["check-knowledge", str(tmp_path)]).output
    monkeypatch.setenv("RECPIPE_KNOWLEDGE", str(tmp_path))
    assert "2 blocked" in CliRunner().invoke(app, ["check-knowledge"]).output
    (tmp_path / "blocked.yaml").write_text("items: [a, a]\n")
    failed = CliRunner().invoke(app, ["check-knowledge"])
    assert failed.exit_code
    assert "blocked.yaml, line 1: item 'a' is blocked in line 1 already" in str(failed.exception)


def test_the_examples_of_the_page_load():
    text = (DOCS / "knowledge.md").read_text()
    found = dict(re.findall(r"### (\w+\.yaml)\n.*?```yaml\n(.*?)```", text, re.DOTALL))
    assert set(found) == set(FILES)
    said = understand({name: example.encode() for name, example in found.items()})
    assert all((said.tree, said.substitutes, said.blocked, said.age_limits, said.age_source))
