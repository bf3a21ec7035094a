"""The landing: where the shop drops its files, on a disk or in an object store, and one file of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from recpipe.config import Settings


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
        """Open it for reading at any place.

        Raises
        ------
        OSError
            If it cannot be read.
        """
        return self.filesystem.open_input_file(self.path)


@dataclass(frozen=True)
class Landing:
    """The root of the landing.

    Attributes
    ----------
    filesystem
        Where it lies.
    root
        Its path in that filesystem.
    shown
        Its address for people.
    """

    filesystem: fs.FileSystem
    root: str
    shown: str

    @classmethod
    def of(cls, settings: Settings) -> Landing:
        """Return the landing that the settings name."""
        root = Path(settings.landing_root).resolve()
        return cls(fs.LocalFileSystem(), str(root), str(settings.landing_root))

    def has(self, name: str) -> bool:
        """Whether there is a file of this name under the root."""
        return bool(self.filesystem.get_file_info(f"{self.root}/{name}").type == fs.FileType.File)

    def files(self, folder: str) -> Iterator[LandedFile]:
        """Yield every file at any depth under a folder of the root; none where there is no such folder."""
        found = self.filesystem.get_file_info(fs.FileSelector(f"{self.root}/{folder}", recursive=True, allow_not_found=True))
        for info in found:
            if info.type != fs.FileType.Directory:
                name = info.path.removeprefix(f"{self.root}/")
                yield LandedFile(self.filesystem, info.path, name, info.size or 0)
