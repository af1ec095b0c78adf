"""Transforms in files of their own: read in any dialect that is installed, and written."""

from __future__ import annotations

import os
import posixpath
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points
from typing import Final

from voxarium.core.uri import open_source_store, open_target_store, parse_uri
from voxarium.errors import Code, ExistsError, FormatError, InputError, NotFoundError, UnsupportedError
from voxarium.model.anatomy import ANATOMICAL, anatomical_change, anatomical_name
from voxarium.model.axes import CoordinateSystem
from voxarium.model.thin_plate import ThinPlateSpline
from voxarium.model.transform_dialect import StatedTransform, TransformDialect
from voxarium.model.transforms import Transform

__all__ = ["read_transform", "transform_dialects", "write_transform"]

_GROUP: Final = "voxarium.transform_dialects"
_MOST: Final = 2**31  # bytes: displacement fields lie in memory


@cache
def transform_dialects() -> tuple[TransformDialect, ...]:
    """Return every dialect that installed packages offer; our own first."""
    found = sorted(entry_points(group=_GROUP), key=lambda e: (not e.value.startswith("voxarium."), e.name))
    return tuple(e.load()() for e in found)


def _named(name: str) -> TransformDialect:
    for dialect in transform_dialects():
        if dialect.name == name:
            return dialect
    raise UnsupportedError(
        f"no dialect of transforms is called {name!r}",
        code=Code.FORMAT_UNRECOGNISED,
        fix=f"use one of {', '.join(d.name for d in transform_dialects())}",
    )


def read_transform(
    uri: str | os.PathLike[str],
    *,
    format: str | None = None,
    orientation: str | None = None,
    backward: bool = False,
) -> StatedTransform:
    """Read the transform in a file.

    Parameters
    ----------
    uri : str or path
        ITK transforms, 4 × 4 matrices between RAS millimetres, affines of BigDataViewer, landmarks of BigWarp.
    format : str or None
        Name of the dialect; None = by content.
    orientation : str or None
        LPS or RAS: express an anatomical transform in these coordinates; None = as it stands.
    backward : bool
        The other way: the inverse, or the spline through the same landmarks the other way round.

    Returns
    -------
    StatedTransform
        Its points are in C order (z, y, x).

    Raises
    ------
    NotFoundError
        If nothing is there, or no dialect recognises it.
    FormatError
        If it is there and broken.
    UnsupportedError
        If it holds what cannot be used, or has no inverse.
    """
    text = os.fspath(uri)
    name = posixpath.basename(text.replace(os.sep, "/"))
    raw = _read(text)
    dialects = transform_dialects() if format is None else (_named(format),)
    dialect = next((d for d in dialects if format is not None or d.claims(name, raw)), None)
    if dialect is None:
        raise NotFoundError(
            f"{text} is no transform in any known dialect",
            code=Code.FORMAT_UNRECOGNISED,
            fix=f"give one of these: {', '.join(d.title for d in dialects)}",
        )
    found = dialect.parse(name, raw)
    if orientation is not None:
        found = _oriented(found, orientation)
    return _reversed(found) if backward else found


def _read(text: str) -> bytes:
    where = parse_uri(text)
    if where.scheme == "file":
        store, key = open_source_store(text)
    else:
        folder, _, name = where.base.rpartition("/")
        store, path = open_source_store(folder)
        key = posixpath.join(path, name)
    stat = store.stat(key) if key else None
    if stat is None:
        raise NotFoundError(f"no file at {text}", code=Code.PATH_MISSING, fix="check the address")
    if stat.size > _MOST:
        raise FormatError(
            f"{text} has {stat.size} bytes, more than a transform in memory may have",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="store displacement fields as OME-Zarr, which are read by blocks",
        )
    return store.get(key) or b""


def _oriented(stated: StatedTransform, orientation: str) -> StatedTransform:
    own = anatomical_name(stated.source)
    if own is None or anatomical_name(stated.target) != own:
        raise InputError(
            f"the transform maps {stated.source.name} to {stated.target.name}, which have no orientation",
            code=Code.ARGUMENT_INVALID,
            fix="leave the orientation out",
        )
    transform = anatomical_change(stated.transform, own, orientation)
    system = _system(orientation, stated.source.ndim)
    return replace(stated, transform=transform, source=system, target=system)


def _system(orientation: str, ndim: int) -> CoordinateSystem:
    whole = ANATOMICAL[orientation]
    return replace(whole, axes=whole.axes[-ndim:])


def _reversed(stated: StatedTransform) -> StatedTransform:
    match stated.transform:
        case ThinPlateSpline(source, target):
            back: Transform = ThinPlateSpline(target, source)
        case transform:
            back = transform.inverse()
    return replace(stated, transform=back, source=stated.target, target=stated.source)


def write_transform(
    transform: Transform | StatedTransform,
    uri: str | os.PathLike[str],
    *,
    format: str | None = None,
    orientation: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write a transform into a file.

    Parameters
    ----------
    transform : Transform or StatedTransform
        Of points in C order (z, y, x).
    uri : str or path
        The file: .tfm, .txt or .h5 for ITK, .mtx for a 4 × 4 matrix, .xml for BigDataViewer, .csv for landmarks.
    format : str or None
        Name of the dialect; None = by the ending.
    orientation : str or None
        LPS or RAS: what the points of a bare transform are. Dialects of anatomical transforms need to know.
    overwrite : bool
        Replace a file.

    Raises
    ------
    UnsupportedError
        If the dialect cannot hold the transform. Nothing is approximated.
    ExistsError
        If the file exists.
    """
    text = os.fspath(uri)
    folder, _, name = text.replace(os.sep, "/").rpartition("/")
    dialect = _by_suffix(name) if format is None else _named(format)
    stated = transform if isinstance(transform, StatedTransform) else _stated(transform, orientation)
    raw = dialect.dump(name, stated)
    store = open_target_store(folder or ("/" if text.startswith("/") else "."))
    if not overwrite and store.stat(name) is not None:
        raise ExistsError(f"{text} exists", code=Code.TARGET_EXISTS, fix="choose another name, or overwrite it")
    store.put(name, raw)


def _by_suffix(name: str) -> TransformDialect:
    for dialect in transform_dialects():
        if name.lower().endswith(dialect.suffixes):
            return dialect
    raise InputError(
        f"the ending of {name!r} does not tell how to write a transform",
        code=Code.ARGUMENT_INVALID,
        fix=f"name the dialect: {', '.join(d.name for d in transform_dialects())}",
    )


def _stated(transform: Transform, orientation: str | None) -> StatedTransform:
    ndim = transform.ndim_in or 3
    if orientation is not None and orientation not in ANATOMICAL:
        raise InputError(
            f"there is no orientation {orientation!r} here", code=Code.ARGUMENT_INVALID, fix="use LPS or RAS"
        )
    if orientation is None:
        axes = ANATOMICAL["LPS"].axes[-ndim:]
        plain = tuple(replace(a, unit=None, orientation=None) for a in axes)
        system = CoordinateSystem(name="unstated", axes=plain)
    else:
        system = _system(orientation, ndim)
    return StatedTransform(transform=transform, source=system, target=system)
