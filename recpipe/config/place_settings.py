"""Settings of places, of what lies in the landing, and of the key of user ids."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from recpipe.config import layouts
from recpipe.config.part import Part
from recpipe.errors import BadSetting


class PlaceSettings(Part):
    """Where everything lies: the home, the landing, the lake and the tracking server."""

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

    @field_validator("landing")
    @classmethod
    def _no_secret_in_the_address(cls, value: str) -> str:
        if "://" in value and (urlsplit(value).password is not None or "?" in value or not value.isprintable()):
            raise ValueError("an address holds no password and no question mark: put what is secret into RECPIPE_LANDING_OPTIONS")
        return value

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


class DeliverySettings(Part):
    """What lies in the landing (docs/delivery.md)."""

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


class PrivacySettings(Part):
    """The key of user ids (docs/tables.md)."""

    user_key: SecretStr = Field(
        SecretStr(""),
        exclude=True,  # from every dump: it is passed on in the environment of the processes that need it alone
        description="key of at least 32 bytes, as hexadecimal digits or base64: user ids are then HMAC-SHA-256 from ingestion on; "
        "empty: ids stay as they are, unless user_key_file or Airflow's connection recpipe_user_key has one",
    )
    user_key_file: str = Field("", description="file that holds the key of user ids, where the environment shall not")

    def __getstate__(self) -> dict[Any, Any]:
        """Refuse to be pickled with the key of user ids, which would then lie wherever the pickle does."""
        if self.user_key.get_secret_value():
            raise TypeError("Settings with a key of user ids are not pickled: pass the environment on, and load them there.")
        return super().__getstate__()
