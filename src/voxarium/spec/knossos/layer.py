"""Layers of a KNOSSOS dataset, their mags, and the names of cubes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from voxarium.model.transforms import Scale, Transform, Translation

__all__ = [
    "EXTENSIONS",
    "MOST",
    "SEGMENTS",
    "KnossosLayer",
    "KnossosLevel",
    "Sizes",
    "Triple",
    "conf_rank",
    "cube_index",
    "cube_key",
    "cube_prefix",
    "levels",
    "mag_number",
]

Triple = tuple[int, int, int]
Sizes = tuple[float, float, float]

SEGMENTS: Final = (".seg.sz.zip", ".seg.sz")
EXTENSIONS: Final = (".raw", ".png", ".jpg", ".jpeg", *SEGMENTS)
_RANKS: Final = (".k.toml", ".pyk.conf", ".pyknossos.conf", "ariadne.conf", ".k.conf", "knossos.conf")
MOST: Final = 1 << 40
_MAG: Final = re.compile(r"(?:.*[_-])?mag([1-9][0-9]{0,5})\Z")
_CUBE: Final = re.compile(
    r"(?P<prefix>.+)_x(?P<x>[0-9]{4,6})_y(?P<y>[0-9]{4,6})_z(?P<z>[0-9]{4,6})(?P<ext>\.[A-Za-z0-9.]+)\Z"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnossosLayer:
    """One layer of a dataset.

    Parameters
    ----------
    name : str
        With which the names of its cubes begin.
    extent : tuple of int
        Voxels of mag1 along z, y, x.
    voxel_sizes : tuple of tuples of float
        Nanometres along z, y, x: of mag1, and where `ordinal`, of the mags that follow.
    ordinal : bool
        True when numbers of mags count the sizes; False when they are the ratio to mag1.
    cube : tuple of int
        Voxels of a cube along z, y, x.
    extensions : tuple of str
        Endings of the cubes; empty when not stated.
    dtype : str or None
        Type of voxels, where stated.
    color : str or None
        Six hexadecimal digits.
    visible : bool
        Whether it is shown at first.
    metadata : mapping
        All keys without secrets.
    notes : tuple of str
        What was left aside.
    """

    name: str
    extent: Triple
    voxel_sizes: tuple[Sizes, ...]
    ordinal: bool
    cube: Triple = (128, 128, 128)
    extensions: tuple[str, ...] = ()
    dtype: str | None = None
    color: str | None = None
    visible: bool = True
    metadata: Mapping[str, Any] = field(default_factory=dict)  # Any: as found
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnossosLevel:
    """One mag of a layer: its number, its voxels, and where their centres are."""

    mag: int
    shape: Triple
    transform: Transform


def conf_rank(name: str) -> int | None:
    """Return how much a file name is to be preferred as configuration, 0 first; None for other files.

    Examples
    --------
    >>> conf_rank("em.k.toml"), conf_rank("knossos.conf"), conf_rank("x.conf")
    (0, 5, None)
    """
    lower = name.lower()
    return next((i for i, suffix in enumerate(_RANKS) if lower.endswith(suffix)), None)


def mag_number(folder: str) -> int | None:
    """Return the number of a mag that a folder is named after: ``mag4``, ``e1088_mag4``."""
    match = _MAG.match(folder)
    return int(match[1]) if match else None


def cube_prefix(file: str) -> tuple[str, str] | None:
    """Return what comes before the position in the name of a cube, and the ending; None for other files.

    Examples
    --------
    >>> cube_prefix("em_mag1_x0000_y0010_z0002.seg.sz.zip")
    ('em_mag1', '.seg.sz.zip')
    """
    match = _CUBE.match(file)
    return (match["prefix"], match["ext"]) if match else None


def cube_key(folder: str, prefix: str, index: Sequence[int], extension: str) -> str:
    """Return the key of a cube by its grid index, z y x.

    Examples
    --------
    >>> cube_key("mag1", "em_mag1", (2, 10, 0), ".raw")
    'mag1/x0000/y0010/z0002/em_mag1_x0000_y0010_z0002.raw'
    """
    z, y, x = index
    return f"{folder}/x{x:04d}/y{y:04d}/z{z:04d}/{prefix}_x{x:04d}_y{y:04d}_z{z:04d}{extension}"


def cube_index(key: str) -> tuple[int, int, int] | None:
    """Return the grid index, z y x, that the key of a cube ends with.

    Examples
    --------
    >>> cube_index("mag1/x0000/y0010/z0002/em_mag1_x0000_y0010_z0002.raw")
    (2, 10, 0)
    """
    match = _CUBE.match(key)
    return (int(match["z"]), int(match["y"]), int(match["x"])) if match else None


def levels(layer: KnossosLayer, mags: Sequence[int]) -> tuple[KnossosLevel, ...]:
    """Return the mags of a layer that exist, finest first. Sizes are rounded up.

    Examples
    --------
    >>> layer = KnossosLayer(name="em", extent=(10, 20, 33), voxel_sizes=((30.0, 10.0, 10.0),), ordinal=False)
    >>> [(level.mag, level.shape) for level in levels(layer, [2, 1])]
    [(1, (10, 20, 33)), (2, (5, 10, 17))]
    """
    base = layer.voxel_sizes[0]
    out = []
    for mag in sorted(set(mags)):
        if not layer.ordinal:
            factors = [float(mag)] * 3
        elif mag <= len(layer.voxel_sizes):
            pairs = zip(layer.voxel_sizes[mag - 1], base, strict=True)
            factors = [_whole(size / first) for size, first in pairs]
        else:
            continue
        if min(factors) < 1:
            continue
        z, y, x = (max(1, math.ceil(n / f)) for n, f in zip(layer.extent, factors, strict=True))
        scale = tuple(s * f for s, f in zip(base, factors, strict=True))
        shift = tuple(s * (f - 1) / 2 for s, f in zip(base, factors, strict=True))
        place = Scale(scale) if not any(shift) else Scale(scale).then(Translation(shift))
        out.append(KnossosLevel(mag=mag, shape=(z, y, x), transform=place))
    return tuple(out)


def _whole(factor: float) -> float:
    near = float(round(factor)) if factor < MOST else factor
    return near if math.isclose(near, factor, rel_tol=1e-6) else factor
