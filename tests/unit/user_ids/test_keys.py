"""Keys of user ids: what they map, what is refused, and that a lake is kept under one of them."""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import pickle
from datetime import date

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from recpipe.cli.command import app
from recpipe.config.settings import Settings, load_settings
from recpipe.contract import USERS
from recpipe.errors import BadSetting
from recpipe.lake.lake import Lake
from recpipe.local.home import airflow_environment, process_environment, settings_environment
from recpipe.readers.asked_user import asked_user
from recpipe.user_ids.keys import fingerprint, hashes, other_keys, typed_user, user_key, user_keys

KEY, OTHER = "5e" * 32, "a1" * 32
DAY = date(2026, 2, 1)


@pytest.fixture
def keyed(settings: Settings) -> Settings:
    return load_settings(home=settings.places.home, user_key=KEY)


def test_a_user_is_the_hmac_of_the_id(keyed):
    expected = [hmac.new(bytes.fromhex(KEY), text, hashlib.sha256).hexdigest() for text in (b"12345", b"Kunde-7")]
    assert user_keys(keyed.privacy, pa.array([" 12345", "Kunde-7", None, "12345"])).to_pylist() == [*expected, None, expected[0]]
    assert user_keys(keyed.privacy, pa.array([12345])).to_pylist() == [user_key(keyed, 12345)] == [expected[0]]
    assert user_keys(keyed.privacy, pa.chunked_array([pa.array(["12345"]).dictionary_encode()])).to_pylist() == [expected[0]]


def test_without_a_key_ids_stay(settings):
    assert user_keys(settings.privacy, pa.array([7, None])).to_pylist() == ["7", None]
    assert other_keys(settings.privacy, "session", pa.array(["s1 "])).to_pylist() == ["s1"]
    assert hashes(settings.privacy, "row", ["a"]) == [hashlib.sha256(b"a").hexdigest()]
    assert fingerprint(settings) == ""


def test_the_same_text_of_two_kinds_has_nothing_in_common(keyed):
    ids = pa.array(["12345"])
    found = {user_key(keyed, "12345")[:32], hashes(keyed.privacy, "row", ["12345"])[0][:32]}
    found |= {other_keys(keyed.privacy, kind, ids)[0].as_py() for kind in ("session", "order", "event")}
    assert len(found) == 5


def test_what_is_typed_may_be_mapped_already(keyed):
    assert typed_user(keyed, " 7 ") == typed_user(keyed, user_key(keyed, "7")) == user_key(keyed, "7")


@pytest.mark.parametrize("bad", ["", "5e" * 31, "kurz", "5e" * 32 + "x!", base64.b64encode(b"x" * 31).decode()])
def test_a_text_that_is_no_key_is_refused_and_not_shown(tmp_path, bad):
    file = tmp_path / "key"
    file.write_text(bad)
    with pytest.raises(BadSetting, match="RECPIPE_USER_KEY_FILE holds no key") as error:
        fingerprint(load_settings(user_key_file=str(file)))
    assert not bad or bad not in str(error.value)


def test_a_key_may_be_hexadecimal_or_base64_in_the_environment_or_a_file(tmp_path, monkeypatch):
    secret = bytes(range(200, 240))
    forms = (secret.hex(), base64.b64encode(secret).decode(), base64.urlsafe_b64encode(secret).decode().rstrip("="))
    file = tmp_path / "key"
    for form in forms:
        file.write_text(form + "\n")
        monkeypatch.setenv("RECPIPE_USER_KEY", form)
        of_file = load_settings(user_key="", user_key_file=str(file))
        assert user_key(load_settings(), "7") == user_key(of_file, "7") == hmac.new(secret, b"7", hashlib.sha256).hexdigest()
    with pytest.raises(BadSetting, match="both set"):
        fingerprint(load_settings(user_key_file=str(file)))


def test_the_key_is_in_nothing_that_is_shown_or_kept(keyed):
    shown = [repr(keyed), str(keyed), keyed.model_dump_json(), str(settings_environment(keyed)), str(airflow_environment(keyed))]
    assert not any(KEY in text for text in shown)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(keyed)
    assert process_environment(keyed)["RECPIPE_USER_KEY"] == KEY
    assert copy.deepcopy(keyed).privacy.user_key == keyed.changed(run_id="x").privacy.user_key == keyed.privacy.user_key


# --- the lake -----------------------------------------------------------------------------------------------------


def publish(settings: Settings) -> None:
    Lake.from_settings(settings).publish("users", [DAY], USERS.schema.empty_table())


def test_a_lake_is_kept_under_the_key_that_it_was_begun_with(keyed):
    publish(keyed)
    publish(keyed)
    before = Lake.from_settings(keyed).days()
    for other, says in ((OTHER, "under another key"), ("", "none is set")):
        with pytest.raises(BadSetting, match=says):
            publish(load_settings(home=keyed.places.home, user_key=other))
    assert Lake.from_settings(keyed).days() == before


def test_a_lake_of_raw_ids_takes_no_key(settings, keyed):
    publish(settings)
    with pytest.raises(BadSetting, match=r"their ids are raw.*take the history in anew"):
        publish(keyed)
    with pytest.raises(BadSetting, match="their ids are raw"):
        asked_user(keyed, "7")
    publish(settings)


def test_who_asks_without_the_key_is_told(settings, keyed):
    publish(keyed)
    with pytest.raises(BadSetting, match="know users by keys alone"):
        asked_user(settings, "7")
    mapped = user_key(keyed, "7")
    assert asked_user(settings, mapped) == asked_user(keyed, "7") == mapped


def test_the_command_maps_ids_in_their_order(keyed, tmp_path, monkeypatch):
    monkeypatch.setenv("RECPIPE_USER_KEY", KEY)
    file = tmp_path / "ids.txt"
    file.write_text("9\n8\n9\n")
    said = CliRunner().invoke(app, ["user-key", "7", "--file", str(file)])
    assert said.output.split() == [user_key(keyed, name) for name in "7989"]
    said = CliRunner().invoke(app, ["user-key", "--of", "session", "--file", "-"], input="s1\n")
    assert said.output.split() == other_keys(keyed.privacy, "session", pa.array(["s1"])).to_pylist()
    monkeypatch.delenv("RECPIPE_USER_KEY")
    assert isinstance(CliRunner().invoke(app, ["user-key", "7"]).exception, BadSetting)
