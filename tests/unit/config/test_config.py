import json
import re
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

import recpipe
from recpipe import contract
from recpipe.cli.command import app
from recpipe.config import checks
from recpipe.config.settings import Settings, load_settings
from recpipe.errors import BadSetting
from recpipe.training.config import Config


def test_settings_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("RECPIPE_TIMEZONE", "Europe/London")
    monkeypatch.setenv("RECPIPE_EVENT_TYPES", '{"cancel": "return"}')
    settings = load_settings()
    assert settings.shop.zone.key == "Europe/London"
    assert settings.shop.event_types == {"cancel": "return"}


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
        settings.lists.top_k = 5


def test_an_unknown_setting_is_refused():
    with pytest.raises(BadSetting, match="TOPK"):
        load_settings(topk=5)


def test_places_follow_the_home(tmp_path):
    settings = load_settings(home=tmp_path)
    assert settings.places.lake_root == str(tmp_path / "lake")
    assert settings.places.landing_root == tmp_path / "landing"
    assert load_settings(home=tmp_path, lake="s3://shop/lake").places.lake_root == "s3://shop/lake"


def test_a_runs_folders_are_named_after_it_alone():
    names = [load_settings(run_id=run).run.run_name for run in ("a:b", "a+b", "a_b", "a b", "é", "x" * 250, "x" * 249 + "y")]
    assert len(set(names)) == len(names)
    assert names[2] == "a_b"  # what is a name already stays as it is
    assert max(map(len, names)) <= 160
    assert load_settings().run.run_name == "local"


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"landing_layout": "{day}"}, "RECPIPE_LANDING_LAYOUT: '{day}' has no {table}"),
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


REFUSED = {
    "ITEM_ID_PATTERN": ["(?=x)", "(?<!x)y", r"(a)\1", "[", "a" * 2000, "(?P<n>"],
    "CATEGORY_SEPARATOR": ["", "x" * 50],
    "RATING_BOUNDS": ["[5, 1]", "[1, 1]", "[1, Infinity]", "[NaN, 5]", '["a", 2]', "[1]"],
    "EVENT_TYPES": ['{"cancel": "returned"}', '{"x": ""}', "{cancel: return}", "[]"],
    "EVENT_WEIGHTS": ['{"veiw": 1}', '{"view": -1}', '{"view": NaN}', '{"view": 1e300}'],
    "RUN_ID": ["", " ", ".", "..", "../x", "a/b", "a\\b", ".hidden", "x" * 300, "a\nb", "a\x1bb", "a\u202eb"],
    "REGISTERED_MODEL": ["", "a/b", "a:b", "it's", "..", "x" * 300, "a\x07"],
    "RETRY_SECONDS": ["inf", "nan", "0", "-1", "1e9"],
    "POLL_SECONDS": ["inf", "nan", "0"],
    "WAIT_MINUTES": ["inf", "nan", "-1", "1e9"],
    "DEADLINE_HOURS": ["inf", "1e6"],
    "JOB_MINUTES": ["nan", "1e9"],
    "HALF_LIFE_DAYS": ["inf", "nan", "0"],
    "PROMOTION_MARGIN": ["nan", "-inf", "inf"],
    "MAX_BAD_SHARE": ["nan", "1.5"],
    "BATCH_ROWS": ["0", "-5", "1000000000000", "1.5", "many"],
    "LOOKBACK_DAYS": ["0", "9999999"],
    "TOP_K": ["0", "1000000000"],
    "SHARDS": ["0", "1000000000"],
    "SEED": ["-1", "99999999999999999999"],
    "AIRFLOW_PORT": ["0", "65536", "-1", "5000"],
    "LAST_DAY": ["2025-12-31", "someday"],
    "HOME": ["a\x1b[2Jb", "a\nb"],
    "MAIL_FROM": ["a@b.example\r\nBcc: c@d.example"],
    "MAIL_TO": ['["a@b.example\\nx"]', "a@b.example"],
    "TRAIN_OPTIONS": ['["--steps", "3\\u0000"]', "--steps"],
    "LEARNER": ["maml2", "", "item_knn", "MAML"],
    "JOB_IMAGE": ["i\x9b"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in REFUSED.items() for value in values])
def test_what_would_fail_in_the_night_is_refused_in_one_sentence_that_names_it(name, value, monkeypatch):
    monkeypatch.setenv(f"RECPIPE_{name}", value)
    with pytest.raises(BadSetting) as error:
        load_settings()
    said = str(error.value)
    assert f"RECPIPE_{name}" in said
    assert said.count("Mend") == 1
    assert "\n" not in said
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202e]", said)
    assert len(said) < 500


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ITEM_ID_PATTERN", r"^\pL{2}\d+$"),  # of RE2 alone
        ("CATEGORY_SEPARATOR", "\t"),
        ("EVENT_COLUMNS", '{"\\u0001user": "user_id"}'),  # a file of a shop may have any names
        ("EVENT_TYPES", '{"Stornierung": "return", "": "view"}'),
        ("RUN_ID", "scheduled__2011-09-02T00:00:00+00:00"),
        ("RUN_ID", "von Hand, Ümläut 3"),
        ("RATING_BOUNDS", "[0, 1]"),
        ("EVENT_WEIGHTS", '{"view": 0, "purchase": 2.5}'),
    ],
)
def test_what_works_is_taken(name, value, monkeypatch):
    monkeypatch.setenv(f"RECPIPE_{name}", value)
    load_settings()


def test_every_number_has_an_end():
    free = []
    for name, field in Settings.fields().items():
        if field.annotation in (int, float):
            limits = {type(entry).__name__ for entry in field.metadata}
            if not (limits & {"Le", "Lt"} and limits & {"Ge", "Gt"}):
                free.append(name)
    assert free == []


@pytest.mark.parametrize("content", [b"RECPIPE_TOP_K=\xff\xfe", b"RECPIPE_TOP_K=ten", b"RECPIPE_TOPK=5"])
def test_a_file_of_settings_that_is_wrong_is_named(tmp_path, monkeypatch, content):
    (tmp_path / "shop.env").write_bytes(content)
    monkeypatch.setenv("RECPIPE_ENV_FILE", str(tmp_path / "shop.env"))
    with pytest.raises(BadSetting, match=r"shop\.env|TOP_?K"):
        load_settings()


def test_the_types_of_events_are_those_of_the_tables():
    assert checks.EVENT_TYPES == contract.EVENT_TYPES


@pytest.mark.parametrize(
    "pattern", [r"^\d{5}[A-Za-z]{0,3}$", "^[ix]", "A-1*", r"\d{2}{3}", "a{9,2}", "[z-a]", "a**", "x{99}{99}{99}"]
)
def test_a_plain_pattern_is_judged_as_the_engine_judges_it(pattern):
    try:
        pc.match_substring_regex(pa.array(["1"]), pattern)
        taken = True
    except pa.ArrowInvalid:
        taken = False
    if taken:
        assert load_settings(item_id_pattern=pattern).intake.item_id_pattern == pattern
    else:
        with pytest.raises(BadSetting, match="RECPIPE_ITEM_ID_PATTERN"):
            load_settings(item_id_pattern=pattern)


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ({}, []),  # the default of `recpipe train`
        ({"learner": "maml"}, ["--learner", "maml"]),
        ({"learner": "pair_network", "train_options": ["--steps", "3"]}, ["--learner", "pair_network", "--steps", "3"]),
        ({"train_options": ["--learner", "anil"]}, ["--learner", "anil"]),  # as before there was the setting
        ({"train_options": ["--settings", "best.json"]}, ["--settings", "best.json"]),  # which may name one
        ({"learner": "lstm", "train_options": ["--settings", "best.json"]}, ["--learner", "lstm", "--settings", "best.json"]),
        ({"learner": "anil", "train_options": ["--learner=anil"]}, ["--learner=anil"]),
    ],
)
def test_the_learner_is_an_option_of_training(given, options):
    assert load_settings(**given).training.run_options == options


@pytest.mark.parametrize("options", [["--learner", "anil"], ["--learner=anil"], ["--learner", "maml", "--learner=anil"]])
def test_two_learners_for_one_training_are_refused_in_a_sentence(options):
    with pytest.raises(
        BadSetting, match=r"RECPIPE_LEARNER says maml and RECPIPE_TRAIN_OPTIONS says --learner anil: name .* in one of"
    ):
        load_settings(learner="maml", train_options=options)


def test_the_default_learner_is_that_of_the_command():
    assert load_settings().training.learner == Config().learner


def test_the_default_settings_pass_their_own_checks():
    values = load_settings().flat()
    assert load_settings(**values).flat() == values


# --- recpipe.toml, and what `recpipe config` says -------------------------------------------------------------------


@pytest.fixture
def toml(tmp_path, monkeypatch):
    def write(text: str) -> None:
        (tmp_path / "recpipe.toml").write_text(text)
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("RECPIPE_CONFIG_FILE")

    return write


SHOP = """
[lists]
top_k = 7
seen_items = "allow"
[shop]
first_day = 2026-02-01
event_types = { cancel = "return" }
[intake]
rating_bounds = [0, 10.0]
[history]
event_weights = { purchase = 2.0, view = 0.1 }
"""


def test_a_file_of_tables_is_read_and_every_other_source_wins_over_it(toml, tmp_path, monkeypatch):
    toml(SHOP)
    settings = load_settings()
    assert (settings.lists.top_k, settings.lists.seen_items, settings.lists.shards) == (7, "allow", 2)
    assert settings.shop.first_day == date(2026, 2, 1)
    assert settings.shop.event_types == {"cancel": "return"}
    assert settings.intake.rating_bounds == (0.0, 10.0)
    (tmp_path / "shop.env").write_text("RECPIPE_TOP_K=8\nRECPIPE_SEEN_ITEMS=exclude\n")
    monkeypatch.setenv("RECPIPE_ENV_FILE", "shop.env")
    assert (load_settings().lists.top_k, load_settings().lists.seen_items) == (8, "exclude")
    monkeypatch.setenv("RECPIPE_TOP_K", "9")
    monkeypatch.setenv("RECPIPE_EVENT_WEIGHTS", '{"cart": 1}')
    assert load_settings().lists.top_k == 9
    assert load_settings().history.event_weights == {"cart": 1.0}  # one source each: dictionaries are not mixed
    assert load_settings(top_k=10).lists.top_k == 10


def test_another_file_may_be_named_or_none(toml, tmp_path, monkeypatch):
    toml(SHOP)
    monkeypatch.setenv("RECPIPE_CONFIG_FILE", "")
    assert load_settings().lists.top_k == 20
    monkeypatch.setenv("RECPIPE_CONFIG_FILE", str(tmp_path / "shop.toml"))
    with pytest.raises(BadSetting, match=r"shop\.toml cannot be read \(FileNotFoundError\): mend it, or RECPIPE_CONFIG_FILE"):
        load_settings()
    (tmp_path / "shop.toml").write_text("lists.top_k = 3")
    assert load_settings().lists.top_k == 3


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[lists]\ntopk = 3", "lists.topk: there is no such setting (did you mean top_k?)"),
        ("[list]\ntop_k = 3", "[list]: there is no such part (did you mean lists?)"),
        ("top_k = 3", "top_k: it belongs under [lists]"),
        ("[shop]\ntop_k = 3", "shop.top_k: it belongs under [lists]"),
        ("lists = 3", "lists: it is a part, and so a table, [lists]"),
        ('[privacy]\nuser_key = "geheim"', "privacy.user_key: secrets do not belong into this file; set RECPIPE_USER_KEY"),
        ('[notices]\nwebhook = "geheim"', "notices.webhook: secrets do not belong into this file"),
        ('[notices]\nsmtp = "geheim"', "notices.smtp: secrets do not belong into this file"),
        ('[places]\nlanding_options = {k = "geheim"}', "places.landing_options: secrets do not belong into this file"),
        ('[places]\nstorage_options = {k = "geheim"}', "places.storage_options: secrets do not belong into this file"),
        ("[lists\ntop_k = 3", "is no TOML"),
        ("[lists]\ntop_k = 0", "RECPIPE_TOP_K (lists.top_k in recpipe.toml): Input should be greater than 0"),
        ('[shop]\ntimezone = "Mars"', "RECPIPE_TIMEZONE (shop.timezone in recpipe.toml): 'Mars' is no time zone"),
        ("[lists]\n\"to\\np\" = 3", "there is no such setting"),
    ],
)  # fmt: skip
def test_what_does_not_belong_into_the_file_is_refused_with_file_and_key(toml, text, sentence):
    toml(text)
    with pytest.raises(BadSetting) as caught:
        load_settings()
    said = str(caught.value)
    assert sentence in said
    assert "recpipe.toml" in said
    assert said.count("Mend") == 1
    assert "geheim" not in said
    assert "\n" not in said


def test_a_name_in_a_file_that_is_no_setting_is_told_with_the_file(tmp_path, monkeypatch):
    (tmp_path / "shop.env").write_text("RECPIPE_TOPK=5\nOTHER=1\n")
    monkeypatch.setenv("RECPIPE_ENV_FILE", str(tmp_path / "shop.env"))
    with pytest.raises(BadSetting) as caught:
        load_settings()
    assert f"RECPIPE_TOPK in {tmp_path}/shop.env: there is no such setting (did you mean RECPIPE_TOP_K?)" in str(caught.value)
    assert f"OTHER in {tmp_path}/shop.env: there is no such setting" in str(caught.value)


def test_a_setting_has_one_name_and_is_explained():
    parts = Settings.__pydantic_fields__
    names = [name for part in parts.values() for name in part.annotation.__pydantic_fields__]
    assert len(names) == len(set(names)) == len(Settings.fields())
    assert not set(names) & set(parts)  # a part is not called as a setting is
    assert [name for name, field in Settings.fields().items() if not field.description] == []


def test_values_are_changed_by_their_names_alone():
    settings = load_settings(top_k=3)
    changed = settings.changed(shards=5, min_users=2)
    assert (changed.lists.top_k, changed.lists.shards, changed.evaluation.min_users) == (3, 5, 2)
    assert settings.lists.shards == 2
    assert changed.differing() == {"top_k": 3, "shards": 5, "min_users": 2}
    with pytest.raises(TypeError, match="topk is no setting"):
        settings.changed(topk=3)


def told(*options: str) -> dict[str, dict[str, str]]:
    done = CliRunner().invoke(app, ["config", "--json", *options])
    assert done.exit_code == 0, done.output
    return {one["variable"]: one for one in json.loads(done.stdout)}


def test_the_command_says_of_each_setting_where_its_value_comes_from(toml, tmp_path, monkeypatch):
    toml(SHOP)
    (tmp_path / "shop.env").write_text("RECPIPE_SHARDS=4\n")
    monkeypatch.setenv("RECPIPE_ENV_FILE", "shop.env")
    monkeypatch.setenv("RECPIPE_METRIC_K", "5")
    every = told()
    assert set(every) == {f"RECPIPE_{name.upper()}" for name in Settings.fields()}
    sources = {name: (one["value"], one["source"]) for name, one in every.items()}
    assert sources["RECPIPE_TOP_K"] == ("7", "recpipe.toml")
    assert sources["RECPIPE_SHARDS"] == ("4", "shop.env")
    assert sources["RECPIPE_METRIC_K"] == ("5", "environment")
    assert sources["RECPIPE_MIN_USERS"] == ("20", "default")
    assert (every["RECPIPE_TOP_K"]["part"], every["RECPIPE_TOP_K"]["meaning"]) == ("lists", "items of a list")
    assert set(told("--changed")) == {name for name, (_, source) in sources.items() if source != "default"}
    text = CliRunner().invoke(app, ["config"]).stdout
    assert "[lists]\nRECPIPE_TOP_K=7  (recpipe.toml)\n    items of a list\n" in text


def test_the_command_shows_no_secret(monkeypatch):
    secrets = {
        "RECPIPE_USER_KEY": "5e" * 32, "RECPIPE_WEBHOOK": "https://x/s3cret", "RECPIPE_SMTP": "smtp://me:s3cret@example.org",
        "RECPIPE_LANDING_OPTIONS": '{"key": "s3cret"}', "RECPIPE_STORAGE_OPTIONS": '{"key": "s3cret"}',
        "RECPIPE_MLFLOW_URI": "postgresql://mlflow:s3c@ret@db:5432/mlflow?password=s3cret",
    }  # fmt: skip
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    for options in ([], ["--json"]):
        said = CliRunner().invoke(app, ["config", *options]).output
        assert "s3c" not in said
        assert "5e5e" not in said
    every = told()
    assert every["RECPIPE_USER_KEY"]["value"] == every["RECPIPE_STORAGE_OPTIONS"]["value"] == "set, not shown"
    assert every["RECPIPE_MLFLOW_URI"]["value"] == "postgresql://mlflow:…@db:5432/mlflow?…"
    monkeypatch.setenv("RECPIPE_MLFLOW_URI", "sqlite:///runs/mlflow.db")
    assert told()["RECPIPE_MLFLOW_URI"]["value"] == "sqlite:///runs/mlflow.db"


def test_a_home_brings_its_own_file_of_settings(tmp_path, monkeypatch):
    monkeypatch.delenv("RECPIPE_ENV_FILE", raising=False)
    monkeypatch.chdir(tmp_path)
    for name, k in ((".recpipe", 4), ("elsewhere", 7)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "recpipe.env").write_text(f"RECPIPE_TOP_K={k}\n")
    assert load_settings().lists.top_k == 4
    assert recpipe.open_shop("elsewhere").settings.lists.top_k == 7
