"""Settings: one typed object, read from the environment (``RECPIPE_*``) at the edge and passed down."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from datetime import date
from fnmatch import fnmatchcase
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from recpipe.config import checks, layouts
from recpipe.errors import BadSetting
from recpipe.printable import printable

MOST_WEIGHT = 1_000_000
"""Greatest weight of an event type."""
LONGEST_NAME = 150
"""Characters of a run's id that its folders are named after."""
ENCODER_PROFILES = ("multilingual",)
"""Names of encoders that `recpipe install-encoder` makes; the setting `encoder` takes them beside folders."""


_ITEM_GROUP = re.compile(r"category:\d{1,2}|brand|newness|popularity|price")
_ITEM_GROUPS = "category:LEVEL (0 = root), brand, newness, popularity and price"
_USER_GROUP = re.compile(r"country|platform|cohort|attributes\..+")
_USER_GROUPS = "country, platform, cohort and attributes.KEY"
_NAMES = {"newness": ("new", "old"), "popularity": ("head", "middle", "tail"), "price": ("low", "middle", "high")}


class Settings(BaseSettings):
    """Every setting of recpipe; dictionaries and lists are given as JSON in the environment."""

    model_config = SettingsConfigDict(
        env_prefix="RECPIPE_", frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False
    )

    # --- places
    home: Path = Field(Path(".recpipe"), description="folder that holds everything recpipe writes, unless set apart below")
    landing: str = Field(
        "",
        description="where the shop drops its files: a folder, or an address such as s3://bucket/landing, gs://, abfs://, file:// or "
        "another that fsspec knows; HOME/landing if empty",
    )
    landing_options: dict[str, SecretStr] = Field(
        default_factory=dict,
        exclude=True,
        description="options and credentials of the landing's store, by the names of RECPIPE_STORAGE_OPTIONS for object stores; those "
        "of the lake if empty and both are of one kind",
    )
    lake: str = Field("", description="root of the Delta tables; HOME/lake if empty")
    mlflow_uri: str = Field("", description="MLflow tracking and registry URI; a SQLite file under HOME if empty")
    storage_options: dict[str, str] = Field(default_factory=dict, description="options of the lake's object store")

    # --- what lies in the landing (docs/delivery.md)
    landing_layout: str = Field(
        layouts.DEFAULT,
        description="folder of a day of a table, such as {table}/dt={day} or {table}/year={year}/month={month}/day={day:02}; folders "
        "below it are read as part of the day",
    )
    landing_tables: dict[str, str] = Field(
        default_factory=dict,
        description="table -> what stands for {table} in the layout, such as shop/clicks; a text with braces is a layout of its own",
    )
    landing_mark: str = Field(
        "_SUCCESS",
        description="file that says that a folder is whole; one that ends with .json lists the files: see docs/delivery.md",
    )
    landing_files: list[str] = Field(
        default_factory=list,
        description="patterns of further file names that hold parquet, such as *.dat, beside .parquet, .parq, .pq and names without an "
        "ending",
    )
    landing_passed_over: list[str] = Field(
        default_factory=list, description="patterns of file names that are no part of a delivery, such as *.crc: left alone"
    )
    items_delivery: Literal["changes", "snapshot"] = Field(
        "changes",
        description="what a delivery of items is: those that changed, or a snapshot, the whole catalogue, whose differences are found",
    )
    users_delivery: Literal["changes", "snapshot"] = Field(
        "changes",
        description="what a delivery of users is: those that changed, or a snapshot of all, whose differences are found",
    )
    max_snapshot_loss: float = Field(
        0.2,
        ge=0,
        le=1,
        description="share of a catalogue that may be gone from a snapshot; a day that lost more waits for a person",
    )
    optional_tables: list[Literal["items", "users"]] = Field(
        default_factory=list, description="tables that a day may come without: no folder and no mark is needed then"
    )

    # --- the shop
    timezone: str = Field("UTC", description="the shop's zone: days begin at its midnight, naive times are in it")
    first_day: date = Field(date(2026, 1, 1), description="first day that DAGs may run for")
    last_day: date | None = Field(None, description="last day that DAGs may run for; none: no end")
    clock_day: date | None = Field(
        None,
        description="day at which the clock of a shop stands still whose data has ended (the demo, an archive): tables are due up to "
        "it. None, as in every living shop: the clock goes on",
    )
    event_columns: dict[str, str] = Field(default_factory=dict, description="delivered name -> contract name, for events")
    item_columns: dict[str, str] = Field(default_factory=dict, description="delivered name -> contract name, for items")
    user_columns: dict[str, str] = Field(default_factory=dict, description="delivered name -> contract name, for users")
    event_types: dict[str, str] = Field(default_factory=dict, description="delivered event type -> contract event type")
    event_id_from: list[str] = Field(
        default_factory=list,
        description="delivered columns that identify an event when it has no event_id; every delivered column if empty; event_id may be one of several",
    )
    category_separator: str = Field(
        ">", min_length=1, max_length=20, description="separates the levels where the category is delivered as one text"
    )
    nobody: list[str] = Field(
        default_factory=lambda: list(checks.NOBODY),
        description="what stands in user_id, person_id, session_id or order_id where there is none, in capitals or small letters; "
        "a list of one's own takes the place of this one",
    )
    time_unit: Literal["", "s", "ms", "us", "ns"] = Field(
        "", description="unit since 1970 of times that are delivered as bare numbers; told by their magnitude if empty"
    )
    int96_times: Literal["utc", "local"] = Field(
        "utc",
        description="what the parquet type INT96 (Spark, Hive, Impala) holds: instants in UTC, or times of the shop's zone, as "
        "some old writers meant it",
    )
    item_version_column: str = Field(
        "", description="delivered column that says which of two rows of an item is the later; the place in the delivery if empty"
    )
    user_version_column: str = Field("", description="the same for users")

    # --- what is taken in
    set_aside_event_types: list[str] = Field(
        default_factory=list,
        description="delivered event types that are not shopping (stock corrections): quarantined, not counted as bad",
    )
    item_id_pattern: str = Field("", description="regular expression of a product's id; rows of other ids are set aside")
    items_must_be_known: bool = Field(False, description="events of items outside the catalogue are quarantined")
    items_need_title: bool = Field(True, description="items without a title are quarantined; false for shops that deliver none")
    max_bad_share: float = Field(0.05, ge=0, le=1, description="share of bad rows above which a day is refused")
    max_user_share: float = Field(0.2, gt=0, le=1, description="warn when one user has a greater share of a day's events")
    late_days: int = Field(3, ge=0, le=36_500, description="days before the delivery's day that an event may still belong to")
    max_text_length: int = Field(
        10_000, gt=0, le=10_000_000, description="characters of a free text above which its row is quarantined"
    )
    rating_bounds: tuple[float, float] = Field((1.0, 5.0), description="lowest and highest rating")
    batch_rows: int = Field(65_536, gt=0, le=10_000_000, description="rows held in memory at a time while a day is taken in")
    volume_weeks: int = Field(
        8, gt=0, le=520, description="weeks before a day whose same weekday its number of rows is compared with"
    )
    volume_factor: float = Field(
        4.0, gt=1, le=1_000_000, description="warn when a day has more than so many times, or so many times fewer, rows"
    )
    least_volume: float = Field(
        0.1,
        ge=0,
        le=1,
        description="share of the usual rows (median of the same weekday in the weeks before, at least three of them) below which a "
        "day of events is refused until a person says that it is right; 0: never",
    )
    least_volume_rows: int = Field(
        1_000, ge=1, le=1_000_000_000, description="usual rows from which on a day of too few is refused"
    )
    accepted_days: list[date] = Field(
        default_factory=list,
        description='days of which a person says that few rows are right, such as the shop\'s Christmas: ["2011-12-25"]',
    )
    accepted_snapshots: list[date] = Field(
        default_factory=list,
        description="days of which a person says that a whole of items or users that lost so much is right (RECPIPE_MAX_SNAPSHOT_LOSS)",
    )
    duplicate_memory_mb: int = Field(
        256,
        ge=64,
        le=10_000_000,
        description="memory (MiB) for the search for duplicates within a day; what does not fit goes to disk",
    )
    history_days: int = Field(60, gt=0, le=3_660, description="days a commit when history is taken in")
    expectations: str = Field(
        "",
        description="folder of suites of Great Expectations, TABLE.json, that days are held against beside recpipe's own rules: see "
        "docs/tables.md, expectations of your own; empty: none",
    )

    # --- who is who
    new_user_days: int = Field(28, gt=0, le=36_500, description="days after registration in which a user counts as new")
    few_items: int = Field(10, gt=0, le=100_000, description="most distinct items of a user in the few cohort")
    lookback_days: int = Field(400, gt=0, le=36_500, description="days of history that a night reads")
    last_events: int = Field(200, gt=0, le=1_000_000, description="newest events a user that a night reads")
    half_life_days: float = Field(90.0, gt=0, le=36_500, description="age at which an event counts half")
    last_queries: int = Field(
        5, ge=0, le=1_000, description="newest search texts a user that are kept for users with nothing else"
    )
    event_weights: dict[str, float] = Field(
        default_factory=lambda: {"view": 0.2, "cart": 0.5, "favourite": 0.6, "purchase": 1.0, "review": 0.8},
        description="weight of an event type in the support; a type of weight 0, or not named, makes no history of a user",
    )

    # --- what the shop knows beforehand
    knowledge: str = Field(
        "",
        description="folder of categories.yaml, substitutes.yaml, blocked.yaml and age_limits.yaml, as far as they are there: "
        "see docs/knowledge.md; empty: none",
    )

    # --- ids behind the door (docs/tables.md)
    user_key: SecretStr = Field(
        SecretStr(""),
        exclude=True,  # from every dump: it is passed on in the environment of the processes that need it alone
        description="key of at least 32 bytes, as hexadecimal digits or base64: user ids are then HMAC-SHA-256 from ingestion on; "
        "empty: ids stay as they are, unless user_key_file or Airflow's connection recpipe_user_key has one",
    )
    user_key_file: str = Field("", description="file that holds the key of user ids, where the environment shall not")

    # --- lists
    top_k: int = Field(20, gt=0, le=10_000, description="items of a list")
    seen_items: Literal["exclude", "allow"] = Field("exclude", description="may a list hold what the user has already met?")
    max_per_category: int = Field(0, ge=0, le=10_000, description="most items of one category in a list; 0: no limit")
    category_level: int = Field(1, ge=0, le=100, description="level of the category tree that the limit counts, 0 = root")
    popular_half_life_days: float = Field(
        14.0, gt=0, le=36_500, description="age at which an event counts half for what is popular now"
    )
    min_country_users: int = Field(
        20, gt=0, le=1_000_000_000, description="customers of a country from which its own favourites are trusted"
    )
    shards: int = Field(2, gt=0, le=10_000, description="user shards of a nightly run; the rows do not depend on it")

    # --- exploration (docs/new-items.md)
    explore_places: int = Field(
        0, ge=0, le=10_000, description="places of each list that are given to new items by a draw; 0: none"
    )
    explore_days: int = Field(
        28, ge=0, le=36_500, description="days from its first delivery on in which an item counts as new for the draw"
    )
    explore_events: int = Field(
        5, ge=0, le=1_000_000, description="events below which an older item still counts as new; 0: age alone counts"
    )
    explore_temperature: float = Field(
        1.0,
        gt=0,
        le=1_000_000,
        description="spread of the draw: new items are the likelier the better their scores; the higher, the more alike",
    )
    explore_uniform: float = Field(
        0.2,
        ge=0.001,
        le=1,
        description="share of the draw that treats all new items alike: logs then say something of each of them",
    )
    explore_rank: int = Field(
        0, ge=0, le=10_000, description="first of the ranks that drawn items take; 0: the last ranks of the list"
    )

    # --- classes of items
    labels: str = Field(
        "",
        description="parquet or csv of item_id, class (path) and, if wanted, scheme and day: labels beside the items' categories",
    )
    least_confidence: float = Field(0.6, gt=0, le=1, description="a class less likely than this is not given to an item")

    # --- reviews
    review_aspects: str = Field(
        "", description="file of the aspects that reviews may speak of, with the words that name them; a shipped one if empty"
    )
    review_shots: int = Field(
        60, gt=0, le=100_000, description="rated reviews a star that teach what the others' texts are worth, at most"
    )

    # --- campaigns
    campaigns: str = Field(
        "", description="file of the shop's campaigns, JSON lines or YAML: see docs/tables.md, campaign_audiences"
    )
    campaign_responses: str = Field(
        "",
        description="csv of campaign_id, user_id, day: who answered; purchases of a campaign's items while it ran if empty",
    )
    suppression: str = Field(
        "", description="csv of user_id and, if wanted, day: users whom no campaign may address (from that day on)"
    )
    campaign_lead_days: int = Field(
        1, gt=0, le=366, description="days before its first day on which a campaign's audience is made"
    )
    campaign_window_days: int = Field(
        120, gt=0, le=36_500, description="days of purchases that say whether a user will answer a campaign"
    )
    campaign_cap: int = Field(
        0, ge=0, le=10_000, description="most campaigns that address a user in the days of the cap; 0: no cap"
    )
    campaign_cap_days: int = Field(
        30, gt=0, le=36_500, description="days in which the cap counts, the day of the audience among them"
    )
    campaign_min_responses: int = Field(
        20, gt=0, le=1_000_000_000, description="answers to earlier campaigns from which probabilities are learned"
    )
    campaign_prior_rate: float = Field(
        0.02, gt=0, lt=1, description="share of the addressed that answer, where nothing is known yet"
    )

    # --- carts
    cart_days: int = Field(
        7, gt=0, le=3_660, description="days in which a cart was filled and not bought, for it to be completed"
    )

    # --- profiles
    profile_tags: int = Field(30, gt=0, le=10_000, description="most tags of a user of one kind and family, the heaviest")

    # --- searches
    search_words: str = Field(
        "",
        description="YAML file of the words that say what a search text asks for: limits, denials, synonyms; a shipped one if empty",
    )

    # --- models
    encoder: str = Field(
        "",
        description="folder that transformers' AutoModel loads, or 'multilingual', which `recpipe install-encoder` makes; "
        "all-MiniLM-L6-v2 from its wheel if empty",
    )
    seed: int = Field(20_110_829, ge=0, le=4_294_967_295, description="seed of everything random")
    registered_model: str = Field("recpipe", description="name in the model registry")
    promotion_margin: float = Field(
        -0.05,
        ge=-100,
        le=1_000,
        description="a candidate is promoted when the lower end of its paired relative gain is above this",
    )
    approval_hours: float = Field(
        0.0,
        ge=0,
        le=8_760,
        description="hours that a person has to approve a promotion that passed the gate, on Airflow's page of required actions; "
        "without an answer it is rejected. 0: nobody is asked",
    )
    gate_days: int = Field(7, gt=0, le=366, description="days before the promotion on which candidate and champion are compared")
    train_options: list[str] = Field(
        default_factory=list, description="further options of `recpipe train` in train_meta_model, such as --batch-users and 32"
    )
    train_from: str = Field(
        "",
        description="what train_meta_model goes on from unless its run says: 'champion', a version's number, another shop's model "
        "folder, or models:/NAME/VERSION; nothing if empty",
    )
    train_queue: str = Field(
        "default",
        min_length=1,
        description="queue of the workers that train, where workers take queues (Celery); the others' if left alone",
    )
    train_weeks: int = Field(52, gt=0, le=5_200, description="weeks of history that a training run sees")

    # --- where jobs run (training, and whatever wants a GPU)
    job_place: Literal["process", "docker", "kubernetes"] = Field(
        "process",
        description="where jobs run: a process of the worker (on Celery, of the queue of train_queue), a container, or a pod",
    )
    job_image: str = Field("", description="image of the container or pod, such as registry.example.org/recpipe:gpu")
    job_gpus: int = Field(1, ge=0, le=1_024, description="GPUs of the container or pod; 0 where there is none")
    job_cpus: float = Field(0.0, ge=0, le=100_000, description="most processors of the container or pod; 0: no limit")
    job_memory_gb: float = Field(0.0, ge=0, le=1_000_000, description="most memory (GiB) of the container or pod; 0: no limit")
    job_volume: str = Field(
        "",
        description="what holds the home, and is mounted at the home's own path: for Docker a volume or a folder of its host (the home "
        "itself if empty), for Kubernetes a persistent volume claim",
    )
    job_namespace: str = Field("", description="namespace of the pod; the worker's own if empty")
    job_minutes: float = Field(
        0.0, ge=0, le=43_200, description="minutes after which a job is stopped; 0: the time limit of its task"
    )

    # --- outcomes
    horizon_days: int = Field(7, gt=0, le=366, description="days after the lists' day in which behaviour counts as outcome")
    metric_k: int = Field(10, gt=0, le=10_000, description="cut-off of the ranking metrics")
    bootstrap_draws: int = Field(2000, gt=0, le=1_000_000, description="draws of the user bootstrap behind every interval")
    min_users: int = Field(20, gt=0, le=1_000_000_000, description="fewer users than this are reported as too few")
    floor_ndcg: float = Field(0.0, ge=0, le=1, description="warn when nDCG over all users falls below this")
    floor_coverage: float = Field(0.0, ge=0, le=1, description="warn when catalogue coverage falls below this")
    drift_days: int = Field(28, gt=0, le=3_660, description="days before the lists that the newest behaviour is compared with")
    max_drift: float = Field(
        0.5, gt=0, le=1_000_000, description="warn when the drift signal (population stability index) is above this"
    )
    replay_days: int = Field(
        91,
        gt=0,
        le=3_660,
        description="days before its last one at which the weekly replay cuts: who registered since is served as if new",
    )
    replay_horizon_days: int = Field(
        90, gt=0, le=366, description="days after a replayed list in which what is met counts, at most"
    )
    replay_options: list[str] = Field(
        default_factory=list, description="further options of `recpipe train` in replay_newcomers, such as --steps and 100"
    )
    floor_replay_ndcg: float = Field(
        0.0, ge=0, le=1, description="warn when nDCG of the replay of new users with 1 to 10 items falls below this"
    )
    floor_replay_ratio: float = Field(
        0.0, ge=0, le=1_000_000, description="warn when that nDCG falls below so many times that of popularity"
    )

    # --- fairness (docs/fairness.md)
    item_groups: list[str] = Field(
        default_factory=lambda: ["popularity", "newness"],
        description="item groups whose exposure is measured each night: category:LEVEL, brand, newness, popularity, price",
    )
    user_groups: list[str] = Field(
        default_factory=lambda: ["country"],
        description="user groups whose quality is measured each night: country, platform, cohort, attributes.KEY",
    )
    new_item_days: int = Field(
        28, gt=0, le=36_500, description="days from its first delivery on in which an item is in the group newness=new"
    )
    least_exposure: dict[str, float] = Field(
        default_factory=dict,
        description="item group, such as newness=new or brand=Acme -> least share of the places of each list; empty: no such rule",
    )
    use_country: bool = Field(True, description="may the country of an account be an input of its list?")
    use_attributes: list[str] = Field(
        default_factory=list,
        description="keys of the users' attributes that a task may ask for (episodes.read_attributes); no list, profile or audience "
        "of recpipe's own is made from any",
    )

    # --- the run
    wait_minutes: float = Field(180.0, ge=0, le=20_160, description="how long a scheduled run waits for its delivery")
    backfill_wait_minutes: float = Field(1.0, ge=0, le=20_160, description="how long a backfill run waits for its delivery")
    run_id: str = Field("local", description="recorded in the register; DAG tasks set it to Airflow's run id")
    webhook: SecretStr = Field(
        SecretStr(""),
        exclude=True,
        description="URL that notices are posted to; empty: Airflow's connection recpipe_webhook, or they are only logged",
    )
    smtp: SecretStr = Field(
        SecretStr(""),
        exclude=True,
        description="mail server for notices, smtp://user:password@host:587 (STARTTLS) or smtps://…; empty: Airflow's connection "
        "recpipe_smtp, or no mail",
    )
    mail_to: list[str] = Field(default_factory=list, description="addresses that notices are mailed to")
    mail_from: str = Field("recpipe@localhost", description="sender of the mails")
    deadline_hours: float = Field(
        0.0, ge=0, le=336, description="hours after the shop's midnight at which late lists of the night are told of; 0: never"
    )

    # --- upkeep (`recpipe maintain`, the DAG maintain_tables)
    keep_days: int = Field(
        35,
        ge=2,
        le=36_500,
        description="days for which replaced versions of a table stay readable: a run planned longer ago is planned anew",
    )
    keep_model_days: int = Field(
        90,
        ge=1,
        le=36_500,
        description="days for which a model version is kept that was never promoted and made nothing that is published",
    )
    keep_scratch_days: int = Field(
        7,
        ge=2,
        le=36_500,
        description="days for which the scratch of a run is kept (staged rows, training folders, fetched models)",
    )
    keep_vectors_mb: int = Field(
        0,
        ge=0,
        le=1_000_000_000,
        description="size (MB) above which a cache of text vectors is emptied; 0: never. They are computed again when asked for",
    )

    # --- the embedded home (`recpipe up`)
    airflow_port: int = Field(8080, gt=0, lt=65_536, description="port of Airflow's pages and API, on 127.0.0.1")
    mlflow_port: int = Field(5000, gt=0, lt=65_536, description="port of MLflow's pages, on 127.0.0.1")
    airflow_pages: str = Field("", description="address of Airflow's pages as a browser opens it; the embedded home's if empty")
    mlflow_pages: str = Field(
        "",
        description="address of MLflow's pages as a browser opens it; RECPIPE_MLFLOW_URI if that is http, else the embedded home's",
    )
    dags_folder: str = Field(
        "", description="folder of the DAG files; those that recpipe brings if empty (`recpipe dags` prints it)"
    )
    plugins_folder: str = Field("", description="folder of further Airflow plugins; plugins/ beside the package if empty")
    parallel_tasks: int = Field(4, gt=0, le=10_000, description="tasks that run at a time on this machine")
    gpus: int = Field(
        0, ge=0, le=1_024, description="GPUs of this machine, 0: counted; the pool gpu gets that many slots, at least one"
    )
    train_slots: int = Field(
        0, ge=0, le=1_024, description="slots of the pool gpu, where they are not one a GPU: without one, a training needs a core"
    )
    dags_paused: bool = Field(True, description="new DAGs wait to be unpaused")
    preload: list[str] = Field(
        default_factory=lambda: [
            *("great_expectations", "pandas", "deltalake", "pyarrow.dataset", "duckdb", "scipy.sparse", "pydantic_settings"),
            *("mlflow.pyfunc", "matplotlib.figure", "torch", "transformers.models.auto.modeling_auto"),
            "transformers.models.bert.modeling_bert",
        ],
        description="modules that the scheduler imports once, so that every task finds them imported",
    )

    # --- patience of the DAGs
    retries: int = Field(2, ge=0, le=100, description="times that a task is tried again")
    retry_seconds: float = Field(60.0, gt=0, le=86_400, description="wait before the first retry; it doubles each time")
    poll_seconds: float = Field(30.0, gt=0, le=86_400, description="time between two looks of a waiting sensor")

    @field_validator("landing")
    @classmethod
    def _no_secret_in_the_address(cls, value: str) -> str:
        if "://" in value and (urlsplit(value).password is not None or "?" in value or not value.isprintable()):
            raise ValueError("an address holds no password and no question mark: put what is secret into RECPIPE_LANDING_OPTIONS")
        return value

    @field_validator("landing_layout")
    @classmethod
    def _usable_layout(cls, value: str) -> str:
        layouts.require_layout(value)
        return value

    @field_validator("landing_tables")
    @classmethod
    def _usable_places(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        layouts.require_places(info.data.get("landing_layout", layouts.DEFAULT), value)
        return value

    @field_validator("landing_mark")
    @classmethod
    def _file_name(cls, value: str) -> str:
        if value in ("", ".", "..") or "/" in value or "\\" in value or not value.isprintable():
            raise ValueError(f"'{value}' is no name of a file in the day's folder, such as _SUCCESS or _MANIFEST.json")
        return value

    @field_validator("landing_passed_over")
    @classmethod
    def _few_names(cls, value: list[str]) -> list[str]:
        for pattern in value:
            if fnmatchcase("part-0.parquet", pattern):
                raise ValueError(
                    f"'{pattern}' would pass over part-0.parquet, too, and its rows would be lost; write a narrower pattern"
                )
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"'{value}' is no time zone; use a name such as 'Europe/London'")
        return value

    @field_validator("*")
    @classmethod
    def _no_control_signs(cls, value: Any, info: ValidationInfo) -> Any:
        if info.field_name not in checks.DELIVERED:
            checks.without_control_signs(value)
        return value

    @field_validator("item_id_pattern")
    @classmethod
    def _pattern(cls, value: str) -> str:
        checks.pattern_of_engine(value)
        return value

    @field_validator("run_id")
    @classmethod
    def _run(cls, value: str) -> str:
        checks.name_of_run(value)
        return value

    @field_validator("registered_model")
    @classmethod
    def _model(cls, value: str) -> str:
        checks.name_of_model(value)
        return value

    @field_validator("event_types")
    @classmethod
    def _types(cls, value: dict[str, str]) -> dict[str, str]:
        checks.known_event_types(value.values())
        return value

    @field_validator("event_weights")
    @classmethod
    def _weights(cls, value: dict[str, float]) -> dict[str, float]:
        checks.known_event_types(value)
        if wrong := [f"{kind} weighs {weight:g}" for kind, weight in value.items() if not 0 <= weight <= MOST_WEIGHT]:
            raise ValueError(f"{wrong[0]}; a weight is from 0 to {MOST_WEIGHT:,}")
        return value

    @field_validator("rating_bounds")
    @classmethod
    def _bounds(cls, value: tuple[float, float]) -> tuple[float, float]:
        checks.ascending(value)
        return value

    @model_validator(mode="after")
    def _together(self) -> Settings:
        if self.last_day is not None and self.last_day < self.first_day:
            raise ValueError(f"RECPIPE_LAST_DAY, {self.last_day}, is before RECPIPE_FIRST_DAY, {self.first_day}")
        if self.airflow_port == self.mlflow_port:
            raise ValueError(f"RECPIPE_AIRFLOW_PORT and RECPIPE_MLFLOW_PORT are both {self.airflow_port}: give each its own")
        return self

    @field_validator("item_groups", "user_groups")
    @classmethod
    def _known_groups(cls, value: list[str], info: ValidationInfo) -> list[str]:
        pattern, known = (_ITEM_GROUP, _ITEM_GROUPS) if info.field_name == "item_groups" else (_USER_GROUP, _USER_GROUPS)
        if wrong := [kind for kind in value if not pattern.fullmatch(kind)]:
            raise ValueError(f"'{wrong[0]}' is no kind of group; there are {known}")
        return list(dict.fromkeys(value))

    @field_validator("least_exposure")
    @classmethod
    def _least_shares(cls, value: dict[str, float]) -> dict[str, float]:
        for group, share in value.items():
            kind, _, name = group.partition("=")
            if not name or not _ITEM_GROUP.fullmatch(kind):
                raise ValueError(f"'{group}' is no group of items, such as newness=new or brand=Acme; there are {_ITEM_GROUPS}")
            if name not in _NAMES.get(kind, (name,)):
                raise ValueError(f"'{group}' is no group: {kind} is one of {', '.join(_NAMES[kind])}")
            if not 0 < share <= 1:
                raise ValueError(f"{group} has the share {share:g}; a share is above 0 and at most 1")
        if (total := sum(Fraction(str(share)) for share in value.values())) > 1:
            raise ValueError(f"the shares come to {float(total):g} together, and a list has no more than 1: lower some of them")
        return value

    @field_validator("encoder")
    @classmethod
    def _profile_folder(cls, value: str, info: ValidationInfo) -> str:
        """Turn the name of a profile into its folder, so that everything else sees folders alone."""
        if value in ENCODER_PROFILES and "home" in info.data:
            return str(info.data["home"] / "work" / "encoders" / value)
        return value

    def __getstate__(self) -> dict[Any, Any]:
        """Refuse to be pickled with the key of user ids, which would then lie wherever the pickle does."""
        if self.user_key.get_secret_value():
            raise TypeError("Settings with a key of user ids are not pickled: pass the environment on, and load them there.")
        return super().__getstate__()

    def accepting(self, *days: date) -> Settings:
        """Return these settings with some more days of which a person has said that few rows, or entries of a whole, are right."""
        few, less = [*self.accepted_days, *days], [*self.accepted_snapshots, *days]
        return self.model_copy(update={"accepted_days": few, "accepted_snapshots": less})

    @property
    def run_name(self) -> str:
        """The run's id as the name of a folder or file: different ids have different names."""
        plain = re.sub(r"[^A-Za-z0-9_.-]", "_", self.run_id)
        if plain == self.run_id and len(plain) <= LONGEST_NAME:
            return plain
        return f"{plain[:LONGEST_NAME]}-{hashlib.sha256(self.run_id.encode(errors='surrogatepass')).hexdigest()[:8]}"

    @property
    def zone(self) -> ZoneInfo:
        """The shop's zone."""
        return ZoneInfo(self.timezone)

    @property
    def lake_root(self) -> str:
        """Root of the Delta tables."""
        return self.lake or str(self.home / "lake")

    @property
    def landing_address(self) -> str:
        """Where the shop drops its files: a folder, or an address with a scheme."""
        return self.landing or str(self.home / "landing")

    @property
    def landing_root(self) -> Path:
        """The folder of this machine where the shop drops its files.

        Raises
        ------
        BadSetting
            If the landing lies elsewhere.
        """
        if "://" in self.landing and not self.landing.startswith("file://"):
            raise BadSetting(f"RECPIPE_LANDING is {self.landing}, which is no folder of this machine: name a folder for this.")
        return Path(unquote(urlsplit(self.landing).path)) if "://" in self.landing else Path(self.landing_address)

    @property
    def work(self) -> Path:
        """Scratch space: staged days, training inputs and outputs, caches."""
        return self.home / "work"

    @property
    def reports(self) -> Path:
        """Pages for people: verdicts and outcome reports."""
        return self.home / "reports"

    @property
    def tracking_uri(self) -> str:
        """MLflow tracking and registry URI."""
        return self.mlflow_uri or f"sqlite:///{(self.home / 'mlflow' / 'mlflow.db').resolve()}"


def load_settings(**overrides: object) -> Settings:
    """Read the settings from the environment, and from the file ``recpipe.env`` of the home where that exists.

    The file (``RECPIPE_ENV_FILE``, by default ``.recpipe/recpipe.env``) lets a person in the project's folder type
    ``recpipe show`` and mean the demo; the environment wins over it.

    Parameters
    ----------
    **overrides
        Values that win over the environment.

    Raises
    ------
    BadSetting
        If a value is of the wrong type or out of its range; the text names each setting.
    """
    file = os.environ.get("RECPIPE_ENV_FILE", ".recpipe/recpipe.env") or None
    try:
        return Settings(_env_file=file, **overrides)  # type: ignore[arg-type]  # pydantic checks the values
    except ValidationError as error:
        raise BadSetting(
            "Settings are wrong. " + "; ".join(map(_said, error.errors())) + ". Mend them in the environment."
        ) from None
    except SettingsError as error:
        name = re.search(r'field "(\w+)"', str(error))
        raise BadSetting(
            f"{f'RECPIPE_{name[1].upper()}' if name else 'A setting'} is no JSON, in which lists and dictionaries are written, such as "
            f'["a", "b"] or {{"a": "b"}}. Mend it in the environment.'
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(
            f"The file of settings {printable(str(file))} cannot be read ({type(error).__name__}): mend it, or RECPIPE_ENV_FILE."
        ) from None


def _said(error: Mapping[str, Any]) -> str:
    """Return what is the matter with one setting, or with several that do not go together."""
    said = str(error["msg"]).removeprefix("Value error, ")
    name = "_".join(printable(str(part)) for part in error["loc"]).upper()
    return f"RECPIPE_{name}: {said}" if name else said
