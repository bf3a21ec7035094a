import pytest
from pydantic import ValidationError

from recpipe.config import load_settings
from recpipe.errors import BadSetting


def test_settings_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("RECPIPE_TIMEZONE", "Europe/London")
    monkeypatch.setenv("RECPIPE_EVENT_TYPES", '{"cancel": "return"}')
    settings = load_settings()
    assert settings.zone.key == "Europe/London"
    assert settings.event_types == {"cancel": "return"}


def test_a_wrong_setting_is_named_in_a_sentence(monkeypatch):
    monkeypatch.setenv("RECPIPE_TIMEZONE", "Mars/Olympus")
    monkeypatch.setenv("RECPIPE_MAX_BAD_SHARE", "7")
    with pytest.raises(BadSetting) as error:
        load_settings()
    assert "RECPIPE_TIMEZONE" in str(error.value)
    assert "'Mars/Olympus' is no time zone" in str(error.value)
    assert "RECPIPE_MAX_BAD_SHARE" in str(error.value)


def test_settings_cannot_be_changed_on_the_way():
    settings = load_settings()
    with pytest.raises(ValidationError):
        settings.top_k = 5


def test_an_unknown_setting_is_refused():
    with pytest.raises(BadSetting, match="TOPK"):
        load_settings(topk=5)


def test_places_follow_the_home(tmp_path):
    settings = load_settings(home=tmp_path)
    assert settings.lake_root == str(tmp_path / "lake")
    assert settings.landing_root == tmp_path / "landing"
    assert load_settings(home=tmp_path, lake="s3://shop/lake").lake_root == "s3://shop/lake"


def test_a_runs_folders_are_named_after_it_alone():
    names = [load_settings(run_id=run).run_name for run in ("a:b", "a/b", "a_b", "a b", "é", "x" * 250, "x" * 249 + "y")]
    assert len(set(names)) == len(names)
    assert names[2] == "a_b"  # what is a name already stays as it is
    assert max(map(len, names)) <= 160
    assert load_settings().run_name == "local"


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"landing_layout": "{day}"}, "RECPIPE_LANDING_LAYOUT: Value error, '{day}' has no {table}"),
        ({"landing_layout": "{table}/{year}/{month}"}, "does not tell every day from the others"),
        ({"landing_layout": "{table}/{year}{month}{day}"}, "does not tell every day from the others"),
        ({"landing_layout": "{table}/{day:%B %d}"}, "does not tell every day from the others"),
        ({"landing_layout": "{table}/../{day}"}, "is no path of folders below the landing: no '..'"),
        ({"landing_layout": "/{table}/{day}"}, "is no path of folders below the landing"),
        ({"landing_layout": "{table}/{day:%Y/%m//%d}"}, "is no path of folders below the landing"),
        ({"landing_layout": "{table}/{day.__class__}"}, "has {day.__class__}: there are {table}, {day}, {year}, {month}"),
        ({"landing_layout": "{table}/{hour}/{day}"}, "has {hour}: there are"),
        ({"landing_layout": "{table}/{year:99q}/{month}/{day}"}, "cannot be filled in"),
        ({"landing_layout": "{table"}, "cannot be read"),
        ({"landing_tables": {"orders": "x"}}, "'orders' is no table that a shop delivers"),
        ({"landing_tables": {"events": ""}}, "the place of events is empty"),
        ({"landing_tables": {"events": "x", "items": "x"}}, "give every table a folder of its own"),
        ({"landing_tables": {"items": "cat/{day}", "events": "cat/{day}/e"}}, "events would lie in the folder of items"),
        ({"landing_tables": {"items": "../{day}"}}, "is no path of folders below the landing"),
        ({"landing_mark": "../x"}, "is no name of a file"),
        ({"landing_passed_over": ["*.csv", "*"]}, "'*' would pass over part-0.parquet"),
        ({"landing": "sftp://shop:geheim@host/landing"}, "put what is secret into RECPIPE_LANDING_OPTIONS"),
        ({"optional_tables": ["events"]}, "RECPIPE_OPTIONAL_TABLES_0"),
    ],
)
def test_what_the_landing_cannot_be_is_said_in_a_sentence(value, sentence):
    with pytest.raises(BadSetting) as caught:
        load_settings(**value)
    assert sentence in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_options_of_the_landing_are_in_no_text_and_no_dump():
    settings = load_settings(landing="s3://shop/landing", landing_options={"aws_secret_access_key": "geheim"})
    assert "geheim" not in repr(settings) + str(settings) + str(settings.model_dump()) + settings.model_dump_json()
