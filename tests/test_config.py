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
