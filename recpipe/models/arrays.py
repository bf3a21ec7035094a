"""Array namespaces: what the learners' formulas are written in, NumPy where lists are made and torch where they are learned.

Each formula stands once, as a function of its numbers, its inputs and a namespace ``xp``. It says nothing of precision: NumPy
arrays come in single precision, or in double where the last bit would depend on the order of sums; torch tensors as they train.

Which entries are looked at is decided in NumPy throughout: nothing that is learned has a say in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Array = Any
"""An array of a namespace: numpy.ndarray or torch.Tensor."""


@dataclass(frozen=True)
class Entries:
    """What counts in the supports of some users, entries of a user one after the other, oldest first.

    Attributes
    ----------
    indptr
        (users + 1,) int64: user u owns entries indptr[u] to indptr[u + 1].
    item, owner
        (entries,) row of the item in the catalogue, and of the user.
    weight
        (entries,) weight, of sum 1 a user.
    age
        (entries,) days.
    size
        (users,) log(1 + k).
    """

    indptr: NDArray[np.int64]
    item: Array
    owner: Array
    weight: Array
    age: Array
    size: Array

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def k(self) -> NDArray[np.int64]:
        """(users,) entries of each user."""
        return np.diff(self.indptr)

    def matrix(self, items: int) -> sp.csr_matrix:
        """Return (users, items) with the weights at the entries' items, for entries of NumPy."""
        return sp.csr_matrix((self.weight, self.item, self.indptr), shape=(len(self), items))


class Arrays:
    """The operations of a namespace, in NumPy: what serves, without torch.

    What both libraries write alike (``+``, ``@``, slices, ``sum``) stands in the formulas.
    """

    exp: Any = np.exp
    log: Any = np.log
    log1p: Any = np.log1p
    expm1: Any = np.expm1
    sqrt: Any = np.sqrt
    tanh: Any = np.tanh
    einsum: Any = staticmethod(np.einsum)
    where: Any = staticmethod(np.where)
    cholesky: Any = staticmethod(np.linalg.cholesky)
    solve: Any = staticmethod(np.linalg.solve)

    def sigmoid(self, values: Array) -> Array:
        """Return 1 / (1 + exp(-values)), without overflow."""
        return 0.5 * (1 + np.tanh(0.5 * values))

    def relu(self, values: Array) -> Array:
        """Return the values, 0 for those below."""
        return np.maximum(values, 0)

    def product(self, rows: Array, matrix: Array) -> Array:
        """Return rows @ matrix, summed in double precision: the same whatever the order of the sums was."""
        return (rows.astype(np.float64) @ matrix.astype(np.float64)).astype(rows.dtype)

    def concat(self, parts: Sequence[Array]) -> Array:
        """Return columns side by side."""
        return np.concatenate(parts, axis=1)

    def stacked(self, parts: Sequence[Array]) -> Array:
        """Return rows one below the other."""
        return np.concatenate(parts)

    def scattered(self, values: Array, at: Array, count: int) -> Array:
        """Return (count,) the values at their places, and zeros."""
        out = np.zeros(count, values.dtype)
        out[at] = values
        return out

    def zeros(self, rows: int, columns: int, like: Array) -> Array:
        """Return zeros in the precision of another array."""
        return np.zeros((rows, columns), like.dtype)

    def cast(self, values: Array, like: Array) -> Array:
        """Return values in the precision of another array."""
        return values.astype(like.dtype, copy=False)

    def double(self, values: Array) -> Array:
        """Return values in double precision."""
        return values.astype(np.float64)

    def rounded(self, values: Array) -> Array:
        """Return values of single precision, in the precision they came in."""
        return values.astype(np.float32).astype(values.dtype, copy=False)

    def constant(self, values: Array) -> Array:
        """Return the values: NumPy knows no gradients."""
        return values

    def here(self, values: NDArray[Any], like: Array) -> Array:
        """Return the array."""
        return values

    def unit(self, rows: Array) -> Array:
        """Scale rows to unit length; rows of zeros stay."""
        return unit_rows(rows)

    def highest(self, rows: Array) -> Array:
        """Return (rows, 1) the greatest values."""
        return rows.max(axis=1, keepdims=True)

    def sums(self, values: Array, entries: Entries) -> Array:
        """Return (users,) sums, user by user."""
        out, filled = np.zeros(len(entries), values.dtype), np.flatnonzero(entries.k)
        out[filled] = np.add.reduceat(values, entries.indptr[filled]) if len(filled) else 0
        return out

    def greatest(self, values: Array, entries: Entries) -> Array:
        """Return (users,) the greatest values; minus infinity where there is none."""
        top = np.full(len(entries), -np.inf, values.dtype)
        np.maximum.at(top, entries.owner, values)
        return top

    def mixed(self, rows: Array, weight: Array, entries: Entries) -> Array:
        """Return (users, D) weighted sums, row by row."""
        return replace(entries, weight=weight).matrix(len(rows)) @ rows

    def quantiles(self, mass: Array, count: int) -> Array:
        """Return (count,) places in a cumulative distribution."""
        return np.searchsorted(np.cumsum(mass), (np.arange(count) + 0.5) / count).clip(max=len(mass) - 1)


class TorchArrays(Arrays):
    """The same operations in torch: what learns. All have gradients, of the second order too."""

    def __init__(self) -> None:
        import torch

        self.torch = torch
        self.exp, self.log, self.log1p, self.expm1 = torch.exp, torch.log, torch.log1p, torch.expm1
        self.sqrt, self.tanh = torch.sqrt, torch.tanh
        self.einsum, self.where = torch.einsum, torch.where
        self.cholesky, self.solve = torch.linalg.cholesky, torch.linalg.solve

    def sigmoid(self, values: Array) -> Array:
        """Return 1 / (1 + exp(-values))."""
        return self.torch.sigmoid(values)

    def relu(self, values: Array) -> Array:
        """Return the values, 0 for those below."""
        return self.torch.relu(values)

    def product(self, rows: Array, matrix: Array) -> Array:
        """Return rows @ matrix."""
        return rows @ matrix

    def concat(self, parts: Sequence[Array]) -> Array:
        """Return columns side by side."""
        return self.torch.cat(list(parts), dim=1)

    def stacked(self, parts: Sequence[Array]) -> Array:
        """Return rows one below the other."""
        return self.torch.cat(list(parts))

    def scattered(self, values: Array, at: Array, count: int) -> Array:
        """Return (count,) the values at their places, and zeros."""
        return values.new_zeros(count).index_add(0, at, values)

    def zeros(self, rows: int, columns: int, like: Array) -> Array:
        """Return zeros in the precision of another tensor, and on its device."""
        return like.new_zeros(rows, columns)

    def cast(self, values: Array, like: Array) -> Array:
        """Return values in the precision of another tensor."""
        return values.to(like.dtype)

    def double(self, values: Array) -> Array:
        """Return values in double precision."""
        return values.double()

    def rounded(self, values: Array) -> Array:
        """Return the values: rounding has no gradient."""
        return values

    def constant(self, values: Array) -> Array:
        """Return values that no gradient goes through."""
        return values.detach()

    def here(self, values: NDArray[Any], like: Array) -> Array:
        """Return an array of NumPy on the device of a tensor."""
        return self.torch.from_numpy(values).to(like.device)

    def unit(self, rows: Array) -> Array:
        """Scale rows to unit length; rows of zeros stay, and give no gradient."""
        return self.torch.nn.functional.normalize(rows, dim=1)

    def highest(self, rows: Array) -> Array:
        """Return (rows, 1) the greatest values, as constants."""
        return rows.detach().amax(dim=1, keepdim=True)

    def sums(self, values: Array, entries: Entries) -> Array:
        """Return (users,) sums."""
        return values.new_zeros(len(entries)).index_add(0, entries.owner, values)

    def greatest(self, values: Array, entries: Entries) -> Array:
        """Return (users,) the greatest values, as constants."""
        none = values.new_full((len(entries),), -self.torch.inf)
        return none.scatter_reduce(0, entries.owner, values.detach(), "amax")

    def mixed(self, rows: Array, weight: Array, entries: Entries) -> Array:
        """Return (users, D) weighted sums."""
        zeros = rows.new_zeros(len(entries), rows.shape[1])
        return zeros.index_add(0, entries.owner, rows[entries.item] * weight[:, None])

    def quantiles(self, mass: Array, count: int) -> Array:
        """Return (count,) places in a cumulative distribution."""
        levels = (self.torch.arange(count, dtype=mass.dtype, device=mass.device) + 0.5) / count
        return self.torch.searchsorted(self.torch.cumsum(mass, 0), levels).clip(max=len(mass) - 1)


NUMPY = Arrays()


@cache
def torch_arrays() -> Arrays:
    """Return the namespace of torch, which takes seconds to import: serving never asks for it."""
    return TorchArrays()


def normal_numbers(seed: int) -> Callable[..., NDArray[np.float32]]:
    """Return a function that draws standard normal numbers of a shape, the next ones at each call.

    They are those of torch's generator, which every model so far began with.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(*shape, generator=generator).numpy()


def unit_rows(rows: NDArray[Real]) -> NDArray[Real]:
    """Scale rows to unit length; rows of zeros stay."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: NDArray[Real] = np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)
    return scaled


Real = TypeVar("Real", bound=np.floating[Any])
