"""The specimen as its users see it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxarium.errors import Code, InputError
from voxarium.model.box import Box
from voxarium.testing.specimen.field import new_work
from voxarium.testing.specimen.lattice import Lattice, World
from voxarium.testing.specimen.neurons import Memo, new_memo, resolve
from voxarium.testing.specimen.sites import GROUP, REACH, SITE, find_sites
from voxarium.testing.specimen.texture import CLOUD, Job, Marks, Target, render
from voxarium.testing.specimen.window import WARP_REACH, Window, collect

__all__ = ["CONNECTION", "SYNAPSE", "Blocks", "Specimen"]

SYNAPSE: Final = np.dtype(
    [
        ("id", np.uint64),
        ("position", np.int64, (3,)),
        ("position_nm", np.float64, (3,)),
        ("pre_position", np.int64, (3,)),
        ("post_position", np.int64, (3,)),
        ("pre_neuron", np.uint64),
        ("post_neuron", np.uint64),
    ]
)
CONNECTION: Final = np.dtype([("pre_neuron", np.uint64), ("post_neuron", np.uint64), ("count", np.int64)])

_UNIT_NM: Final = 8.0
_TWIG_PITCH: Final = 32.0
_TRUNK_PITCH: Final = 128.0
_TILE: Final = 128
_SUPERVOXEL_BASE: Final = 1 << 56  # layer 1 and layer 12 of a PyChunkedGraph id
_NEURON_BASE: Final = 12 << 56
_HIDDEN: Final = 1.2  # half width of membranes labelled 0, in units of 8 nm
_GROUPS_KEPT: Final = 8192


class Blocks(NamedTuple):
    """One box of a specimen: grey values, supervoxels and neurons."""

    em: NDArray[np.uint8]
    supervoxels: NDArray[np.uint64]
    neurons: NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True)
class Specimen:
    """A synthetic piece of neuropil of any size, computed where one looks.

    Any box can be had by itself and is the same whatever boxes were asked for before, so a teravoxel specimen
    needs no more memory than a small one. Everything follows from the arguments.

    Parameters
    ----------
    shape : tuple of three int
        Voxels along z, y, x; at most 2**24 along each.
    seed : int
        Another seed is another specimen.
    voxel_size : tuple of three float
        Nanometres along z, y, x, from 1 to 100. Neurites keep their physical size.
    large_ids : bool
        Give ids of the magnitude of a PyChunkedGraph (beyond 2**53), else ids that count from 1.
    membranes : bool
        Label voxels on the membrane between two neurons 0. By default every voxel belongs to a neuron.
    threads : int or None
        Threads for boxes of more than one tile of 128³ voxels; None = one per processor.

    Examples
    --------
    >>> specimen = Specimen(shape=(10_000, 10_000, 10_000), seed=7)
    >>> specimen.em(Box((9_000, 5_000, 100), (2, 3, 4))).shape
    (2, 3, 4)
    """

    shape: tuple[int, int, int]
    seed: int = 1
    voxel_size: tuple[float, float, float] = (8.0, 8.0, 8.0)
    large_ids: bool = True
    membranes: bool = False
    threads: int | None = None
    _world: World = field(init=False, repr=False, compare=False)
    _local: threading.local = field(init=False, repr=False, compare=False, default_factory=threading.local)
    _sites: dict[tuple[int, int, int], NDArray[np.void]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or not all(1 <= n <= 1 << 24 for n in self.shape):
            raise InputError(
                f"a specimen cannot have shape {self.shape}",
                code=Code.ARGUMENT_INVALID,
                fix="give three lengths (z, y, x) from 1 to 2**24",
            )
        if len(self.voxel_size) != 3 or not all(1.0 <= v <= 100.0 for v in self.voxel_size):
            raise InputError(
                f"a specimen cannot have voxels of {self.voxel_size} nm",
                code=Code.ARGUMENT_INVALID,
                fix="give three voxel sizes (z, y, x) from 1 to 100 nanometres",
            )
        object.__setattr__(self, "_world", _world(self.shape, self.seed, self.voxel_size))

    def __reduce__(self) -> tuple[Any, ...]:  # Any: what pickle asks for
        kept = ("shape", "seed", "voxel_size", "large_ids", "membranes", "threads")
        return _rebuild, (type(self), {name: getattr(self, name) for name in kept})

    # --------------------------------------------------------------------------------------------- voxels
    def em(self, box: Box | None = None) -> NDArray[np.uint8]:
        """Return grey values (uint8, z y x); the whole specimen when `box` is None."""
        return self._render(box, em=True, supervoxels=False, neurons=False).em

    def supervoxels(self, box: Box | None = None) -> NDArray[np.uint64]:
        """Return supervoxel ids (uint64, z y x)."""
        return self._render(box, em=False, supervoxels=True, neurons=False).supervoxels

    def neurons(self, box: Box | None = None) -> NDArray[np.uint64]:
        """Return neuron ids (uint64, z y x)."""
        return self._render(box, em=False, supervoxels=False, neurons=True).neurons

    def blocks(self, box: Box | None = None) -> Blocks:
        """Return grey values, supervoxels and neurons of one box, computed in one pass."""
        return self._render(box, em=True, supervoxels=True, neurons=True)

    def neuron_of(self, supervoxel_ids: ArrayLike) -> NDArray[np.uint64]:
        """Return the neuron of each supervoxel (0 for 0); the shape is kept.

        Raises
        ------
        InputError
            If an id is not one of this specimen.
        """
        ids = np.asarray(supervoxel_ids, np.uint64)
        base = np.uint64(self._bases[0])
        numbers = np.where(ids > base, ids - base, np.where(ids == 0, 0, np.uint64(1 << 63))).astype(np.int64)
        found = np.empty(ids.size, np.int64)
        resolve(self._world, self._memo, numbers.ravel(), found)
        if (found < 0).any():
            raise InputError(
                f"{int(ids.ravel()[found < 0][0])} is not a supervoxel of this specimen",
                code=Code.ARGUMENT_INVALID,
                fix="use ids from specimen.supervoxels(), with the same shape, seed and large_ids",
            )
        return np.where(found > 0, found + self._bases[1], 0).astype(np.uint64).reshape(ids.shape)

    # ------------------------------------------------------------------------------------------- synapses
    def synapses(self, box: Box | None = None) -> NDArray[np.void]:
        """Return the synapses whose position lies in `box`, as an array of `SYNAPSE`, by id.

        `position` is the voxel at the membrane between the partners; `pre_position` and `post_position` are
        voxels a little to either side that belong to `pre_neuron` and `post_neuron`. `position_nm` is the
        centre of the voxel `position`, with the centre of voxel 0 at 0.
        """
        box = self._checked(box)
        parts = [self._group(g) for g in self._groups(box, REACH)]
        sites = np.concatenate([np.zeros(0, SITE), *parts])
        inside = (sites["centre"] >= box.origin).all(axis=1) & (sites["centre"] < box.stop).all(axis=1)
        sites = np.sort(sites[inside], order="anchor")
        out = np.zeros(len(sites), SYNAPSE)
        out["id"] = sites["anchor"] + 1
        out["position"] = sites["centre"]
        out["position_nm"] = sites["centre"] * np.array(self.voxel_size)
        out["pre_position"], out["post_position"] = sites["pre_voxel"], sites["post_voxel"]
        out["pre_neuron"] = (sites["pre"] + self._bases[1]).astype(np.uint64)
        out["post_neuron"] = (sites["post"] + self._bases[1]).astype(np.uint64)
        return out

    def connectome(self, box: Box | None = None) -> NDArray[np.void]:
        """Return how many synapses lead from which neuron to which, as an array of `CONNECTION`, sorted."""
        found = self.synapses(box)
        pairs = np.stack([found["pre_neuron"], found["post_neuron"]], axis=1)
        unique, counts = np.unique(pairs, axis=0, return_counts=True)
        out = np.zeros(len(unique), CONNECTION)
        out["pre_neuron"], out["post_neuron"], out["count"] = unique[:, 0], unique[:, 1], counts
        return out

    # ------------------------------------------------------------------------------------------- interior
    @property
    def _bases(self) -> tuple[int, int]:
        return (_SUPERVOXEL_BASE, _NEURON_BASE) if self.large_ids else (0, 0)

    @property
    def _memo(self) -> Memo:
        memo: Memo | None = getattr(self._local, "memo", None)
        if memo is None:
            memo = self._local.memo = new_memo()
        return memo

    def _checked(self, box: Box | None) -> Box:
        whole = Box.whole(self.shape)
        box = whole if box is None else box
        if box.ndim != 3 or not whole.contains(box):
            raise InputError(
                f"{box} does not lie in a specimen of shape {self.shape}",
                code=Code.BOX_OUT_OF_BOUNDS,
                fix="ask for a box of three axes within the shape",
            )
        return box

    def _groups(self, box: Box, reach: float) -> Iterator[tuple[int, int, int]]:
        edge = GROUP * _TWIG_PITCH
        scale = self._world.scale
        low = [int((a * s - reach) // edge) for a, s in zip(box.origin, scale, strict=True)]
        high = [int((b * s + reach) // edge) for b, s in zip(box.stop, scale, strict=True)]
        for z in range(low[0], high[0] + 1):
            for y in range(low[1], high[1] + 1):
                for x in range(low[2], high[2] + 1):
                    yield z, y, x

    def _group(self, group: tuple[int, int, int]) -> NDArray[np.void]:
        found = self._sites.get(group)
        if found is None:
            found = find_sites(self._world, self._memo, group)
            if len(self._sites) >= _GROUPS_KEPT:
                self._sites.clear()
            self._sites[group] = found
        return found

    def _render(self, box: Box | None, *, em: bool, supervoxels: bool, neurons: bool) -> Blocks:
        box = self._checked(box)
        out = Blocks(
            np.empty(box.shape if em else (0, 0, 0), np.uint8),
            np.empty(box.shape if supervoxels else (0, 0, 0), np.uint64),
            np.empty(box.shape if neurons else (0, 0, 0), np.uint64),
        )
        tiles = list(box.tiles((_TILE,) * 3)) if box.size else []
        threads = min(self.threads or os.cpu_count() or 1, len(tiles))
        if threads <= 1:
            for tile in tiles:
                self._tile(tile, box, out)
        else:
            with ThreadPoolExecutor(threads) as pool:
                for _ in pool.map(lambda tile: self._tile(tile, box, out), tiles):
                    pass
        return out

    def _tile(self, tile: Box, box: Box, out: Blocks) -> None:
        inner = tile.relative_to(box.origin).slices
        win = collect(self._world, self._memo, tile.origin, tile.stop)
        sites = np.zeros(0, SITE)
        if out.em.size:
            sites = np.concatenate([sites, *(self._group(g) for g in self._groups(tile, REACH + CLOUD))])
        marks = Marks(
            np.ascontiguousarray(np.concatenate([sites["place"], sites["direction"]], axis=1)),
            np.ascontiguousarray(np.stack([_local(win, sites["pre"]), _local(win, sites["post"])], axis=1)),
        )
        # Arrays of one layout only: kernels are compiled once per combination of layouts.
        parts = Blocks(*(np.empty(tile.shape if whole.size else (0, 0, 0), whole.dtype) for whole in out))
        target = Target(
            (tile.origin[0], tile.origin[1], tile.origin[2]),
            (tile.stop[0], tile.stop[1], tile.stop[2]),
            parts.em,
            parts.supervoxels.view(np.int64),
            parts.neurons.view(np.int64),
            self._bases,
            _HIDDEN if self.membranes else 0.0,
        )
        render(Job(self._world, win, new_work(len(win.pieces)), marks, target))
        if out.em.size:
            out.em[inner] = parts.em
        if out.supervoxels.size:
            out.supervoxels[inner] = parts.supervoxels
        if out.neurons.size:
            out.neurons[inner] = parts.neurons


def _lattice(shape: tuple[int, ...], scale: tuple[float, ...], pitch: float, margin: int) -> tuple[int, int, int]:
    """Return the number of cells per axis, with a margin of cells on either side."""
    z, y, x = (int((n * s + WARP_REACH) // pitch) + 1 + 2 * margin for n, s in zip(shape, scale, strict=True))
    return z, y, x


def _world(shape: tuple[int, int, int], seed: int, voxel_size: tuple[float, float, float]) -> World:
    scale = (voxel_size[0] / _UNIT_NM, voxel_size[1] / _UNIT_NM, voxel_size[2] / _UNIT_NM)
    a = np.uint64((seed * 0x9E3779B97F4A7C15 + 0x1234567) % (1 << 64))
    b = np.uint64((seed * 0xD1B54A32D192ED03 + 0x89ABCDE) % (1 << 64))
    twigs = Lattice(a, _TWIG_PITCH, 2, _lattice(shape, scale, _TWIG_PITCH, 2), 0.04, 0.07, 4.0, 9.0)
    trunks = Lattice(b, _TRUNK_PITCH, 1, _lattice(shape, scale, _TRUNK_PITCH, 1), 0.10, 0.035, 9.0, 29.0)
    n = trunks.dims[0] * trunks.dims[1] * trunks.dims[2] * 3
    return World(twigs, trunks, n, scale, shape)


def _local(win: Window, neurons: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return neurons numbered as within a window; -1 for those not in it."""
    known, first = np.unique(win.neuron, return_index=True)
    at = np.minimum(np.searchsorted(known, neurons), len(known) - 1)
    return np.where(known[at] == neurons, win.local[first[at]], -1).astype(np.int32)


def _rebuild(cls: type[Specimen], arguments: dict[str, Any]) -> Specimen:  # Any: constructor arguments
    return cls(**arguments)
