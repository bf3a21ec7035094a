"""The store of the landing, by its address: a disk, an object store that the lake could lie in, or what fsspec knows.

Object stores (s3, gs, abfs, …) are reached as the lake is: by the same library, with options and credentials of the same
names. Everything else (sftp, hdfs, …) is fsspec's.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from pyarrow import fs

from recpipe.errors import BadSetting, RecpipeError, Unreachable

if TYPE_CHECKING:
    from recpipe.config.settings import Settings

LIKE_THE_LAKE: Final = ("s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss")
PATIENCE: Final = {"max_retries": "4", "retry_timeout": "60s", "timeout": "120s", "connect_timeout": "10s"}
"""Options of an object store where the shop names none: its library alone would try for three minutes."""
SIGNS: Final = (
    (("403", "AccessDenied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "401"), "it does not let recpipe in"),
    (("NoSuchBucket", "bucket does not exist", "ContainerNotFound"), "there is no such bucket"),
    (("onnection refused", "dns error", "error sending request", "timed out", "timeout"), "it does not answer"),
)
"""What the words of a library mean. Its text itself may hold signed addresses, and is never shown."""


def open_store(settings: Settings) -> tuple[fs.FileSystem, str]:
    """Return the file system that the landing lies in, and the landing's path there; nothing is asked of it yet.

    Raises
    ------
    BadSetting
        If the address or its options cannot be worked with.
    """
    address = settings.places.landing_address
    scheme = address.partition("://")[0] if "://" in address else ""
    if not scheme:
        return fs.LocalFileSystem(), str(Path(address).resolve())
    if scheme == "file":
        return fs.LocalFileSystem(), str(Path(unquote(urlsplit(address).path)).resolve())
    options = landing_options(settings)
    return _like_the_lake(address, options) if scheme in LIKE_THE_LAKE else _by_fsspec(address, options)


def landing_options(settings: Settings) -> dict[str, str]:
    """Return the options of the landing's store: its own, or those of the lake where both lie in a store of one kind."""
    own = {name: value.get_secret_value() for name, value in settings.places.landing_options.items()}
    scheme = settings.places.landing_address.partition("://")[0]
    same = settings.places.lake_root.partition("://")[0].rstrip("a") == scheme.rstrip("a") and scheme in LIKE_THE_LAKE
    return own or (dict(settings.places.storage_options) if same else {})


def _like_the_lake(address: str, options: dict[str, str]) -> tuple[fs.FileSystem, str]:
    from deltalake.fs import DeltaStorageHandler

    try:
        return fs.PyFileSystem(DeltaStorageHandler(address.rstrip("/"), {**PATIENCE, **options})), ""
    except Exception as error:  # of a library in Rust, by any class; its text may quote an option
        raise _unusable(address, type(error).__name__) from None


def _by_fsspec(address: str, options: dict[str, str]) -> tuple[fs.FileSystem, str]:
    import fsspec

    scheme = address.partition("://")[0]
    try:
        found, path = fsspec.core.url_to_fs(address, **options)
    except ImportError as error:
        needed = getattr(error.__cause__, "name", None) or error.name or "see fsspec's documentation"
        raise BadSetting(f"RECPIPE_LANDING: {scheme}:// needs a package that is not installed ({needed}).") from None
    except (ValueError, TypeError, KeyError) as error:
        raise _unusable(address, type(error).__name__) from None
    except Exception as error:  # of a library that connects at once, by any class
        raise unreachable(address, error) from None
    return fs.PyFileSystem(fs.FSSpecHandler(found)), str(path).rstrip("/")


def _unusable(address: str, why: str) -> BadSetting:
    known = ", ".join(LIKE_THE_LAKE)
    return BadSetting(
        f"RECPIPE_LANDING: {address} cannot be worked with ({why}). Name a folder, an address of {known}, file, or of another kind "
        f"that fsspec knows, and look at RECPIPE_LANDING_OPTIONS."
    )


@contextmanager
def reached(address: str = "") -> Iterator[None]:
    """Make one sentence of whatever a store or a disk raises while it is asked.

    Raises
    ------
    Unreachable
        With the address, a reason where one is known, and what to look at; nothing of what the library says.
    """
    try:
        yield
    except RecpipeError:
        raise
    except Exception as error:  # libraries of stores raise whatever they like
        raise unreachable(address, error) from None


def unreachable(address: str, error: Exception) -> Unreachable:
    """Return what is said of an error of a store."""
    return Unreachable(
        f"The landing{address and ' '}{address} cannot be read: {_reason(error)}. See that it is there and may be read, look at "
        f"RECPIPE_LANDING and RECPIPE_LANDING_OPTIONS (recpipe doctor tries them), then run again."
    )


def _reason(error: Exception) -> str:
    text = str(error)
    for words, meaning in SIGNS:
        if any(word in text for word in words):
            return meaning
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number in errno.errorcode and number else type(error).__name__
