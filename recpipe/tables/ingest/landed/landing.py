"""The landing: where the shop drops its files, on a disk or in an object store, and what lies there."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import pyarrow as pa
from pyarrow import fs

from recpipe.config.settings import Settings
from recpipe.tables.ingest.landed.byte_blocks import open_blocks
from recpipe.tables.ingest.landed.stores import open_store, reached

Kind = Literal["file", "folder", "empty folder", "link", "loop", "other"]


@dataclass(frozen=True)
class LandedFile:
    """A file in the landing.

    Attributes
    ----------
    filesystem
        Where it lies.
    path
        Its path in that filesystem.
    name
        As people find it under the landing's root: ``events/day=2011-09-01/part-0.parquet``.
    size
        Bytes.
    """

    filesystem: fs.FileSystem
    path: str
    name: str
    size: int

    def open(self) -> pa.NativeFile:
        """Open it for reading at any place; of a file elsewhere some blocks are held, never the whole.

        Raises
        ------
        OSError
            If it cannot be read.
        Unreachable
            If it lies elsewhere and the store does not answer, now or while it is read.
        """
        if isinstance(self.filesystem, fs.LocalFileSystem):
            return self.filesystem.open_input_file(self.path)
        return open_blocks(self.filesystem, self.path, self.size)


@dataclass(frozen=True)
class Found:
    """What was found in a folder of the landing.

    Attributes
    ----------
    name
        Under the landing's root, as `LandedFile.name`.
    kind
        A file, a folder, a folder without anything in it, a link that leads nowhere, one that leads back to a folder that it
        stands in, or something else (a pipe, a device).
    size
        Bytes of a file.
    """

    name: str
    kind: Kind
    size: int = 0


@dataclass(frozen=True)
class Landing:
    """The root of the landing.

    Attributes
    ----------
    filesystem
        Where it lies.
    root
        Its path in that filesystem; empty for the whole of it.
    shown
        Its address for people.
    """

    filesystem: fs.FileSystem
    root: str
    shown: str

    @classmethod
    def of(cls, settings: Settings) -> Landing:
        """Return the landing that the settings name; nothing is asked of it yet.

        Raises
        ------
        BadSetting
            If the address or the options are none that recpipe can work with.
        """
        filesystem, root = open_store(settings)
        return cls(filesystem, root, settings.places.landing_address)

    @property
    def on_disk(self) -> bool:
        """Whether it is a folder of this machine."""
        return isinstance(self.filesystem, fs.LocalFileSystem)

    def path(self, name: str) -> str:
        """Return the path of a name under the root in the filesystem."""
        return (
            f"{self.root}/{name}".strip("/") if not self.root.startswith("/") else f"{self.root.rstrip('/')}/{name}".rstrip("/")
        )

    def has(self, name: str) -> bool:
        """Whether there is a file of this name under the root."""
        with reached(self.shown):
            return bool(self.filesystem.get_file_info(self.path(name)).type == fs.FileType.File)

    def file(self, found: Found) -> LandedFile:
        """Return a file that was found."""
        return LandedFile(self.filesystem, self.path(found.name), found.name, found.size)

    def read(self, name: str, most: int) -> bytes:
        """Return the first bytes of a file, so many at most."""
        with reached(self.shown), self.filesystem.open_input_stream(self.path(name)) as stream:
            return bytes(stream.read(most))

    def everything(self, folder: str) -> Iterator[Found]:
        """Yield all that lies at any depth under a folder, by name; nothing where there is no such folder."""
        with reached(self.shown):
            if self.on_disk:
                place = Path(self.path(folder))
                yield from _on_disk(place, folder, frozenset([_identity(place)]))
            else:
                yield from self._listed(folder, recursive=True)

    def children(self, folder: str) -> list[Found]:
        """Return what lies in a folder itself, by name."""
        with reached(self.shown):
            return (
                _names_on_disk(Path(self.path(folder)), folder) if self.on_disk else list(self._listed(folder, recursive=False))
            )

    def _listed(self, folder: str, recursive: bool) -> Iterator[Found]:
        base = self.path(folder)
        infos = self.filesystem.get_file_info(fs.FileSelector(base, recursive=recursive, allow_not_found=True))
        found = {info.path.strip("/").removeprefix(base.strip("/")).strip("/"): info for info in infos}
        above = {str(parent) for inside in found for parent in PurePosixPath(inside).parents}
        for inside, info in sorted(found.items()):
            # consoles of object stores stand for a folder by an object without a byte
            if not inside or (info.type == fs.FileType.File and not info.size and inside in above):
                continue
            kind: Kind = "file" if info.type == fs.FileType.File else "folder" if info.type == fs.FileType.Directory else "other"
            yield Found(f"{folder}/{inside}".strip("/"), kind, info.size or 0)


def _identity(place: Path) -> tuple[int, int]:
    try:
        info = place.stat()
    except (FileNotFoundError, NotADirectoryError):
        return (-1, -1)
    return info.st_dev, info.st_ino


def _on_disk(place: Path, name: str, above: frozenset[tuple[int, int]]) -> Iterator[Found]:
    # not by Arrow: it leaves out links that lead nowhere, and goes round in links that lead back
    try:
        with os.scandir(place) as opened:
            entries = sorted(opened, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        yield from _entry_on_disk(entry, f"{name}/{entry.name}", above)


def _names_on_disk(place: Path, name: str) -> list[Found]:
    """Return what lies in a folder by name and kind alone: a shop's folder of days has thousands, and nothing is asked of each."""
    try:
        with os.scandir(place) as opened:
            found = [Found(f"{name}/{entry.name}".strip("/"), "folder" if entry.is_dir() else "file") for entry in opened]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found, key=lambda one: one.name)


def _entry_on_disk(entry: os.DirEntry[str], name: str, above: frozenset[tuple[int, int]]) -> Iterator[Found]:
    try:
        info = entry.stat()
    except OSError as error:
        if not entry.is_symlink() or error.errno not in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
            raise
        yield Found(name, "link")
        return
    here = info.st_dev, info.st_ino
    if stat.S_ISREG(info.st_mode):
        yield Found(name, "file", info.st_size)
    elif not stat.S_ISDIR(info.st_mode):
        yield Found(name, "other")
    elif here in above:
        yield Found(name, "loop")
    else:
        inside = list(_on_disk(Path(entry.path), name, above | {here}))
        yield Found(name, "folder" if inside else "empty folder")
        yield from inside
