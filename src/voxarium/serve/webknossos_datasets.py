"""Images as datasets of WEBKNOSSOS: layers, mags, places, and the documents that tell clients of them. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, UnsupportedError
from voxarium.serve.access import current_visitor
from voxarium.serve.volumes import Triple, Volume
from voxarium.spec.webknossos import mag_literal

__all__ = [
    "BUCKET",
    "Dataset",
    "Layer",
    "address_of",
    "dataset_id",
    "dataset_page",
    "layer_of",
    "layer_title",
    "parsed_mag",
]

BUCKET: Final = 32  # voxels of a bucket along each axis
_MOST_CHANNELS: Final = 64
_FARTHEST: Final = 2**40
_EXACT: Final = 1e-6
_ODD: Final = re.compile(r"[^A-Za-z0-9_$@\-.]+", re.ASCII)
_MAG: Final = re.compile(r"[0-9]{1,9}(?:-[0-9]{1,9}-[0-9]{1,9})?\Z", re.ASCII)
_ID: Final = re.compile(r"(?:[0-9a-f]{2}){1,2048}\Z", re.ASCII)


def dataset_id(address: str) -> str:
    """Return the id of a dataset: its address in hexadecimal digits, so that every process knows it.

    Examples
    --------
    >>> dataset_id("lab/em")
    '6c61622f656d'
    """
    return address.encode().hex()


def address_of(identifier: str) -> str | None:
    """Return the address that an id stands for; None when it is no id.

    Examples
    --------
    >>> address_of("6c61622f656d"), address_of("lab")
    ('lab/em', None)
    """
    if not _ID.match(identifier):
        return None
    try:
        return bytes.fromhex(identifier).decode()
    except UnicodeDecodeError:
        return None


def dataset_page(address: str) -> str:
    """Return the path of a dataset's page, by which scripts open it.

    Examples
    --------
    >>> dataset_page("lab/em")
    '/datasets/em-6c61622f656d/view'
    """
    return f"/datasets/{layer_title(address, ())}-{dataset_id(address)}/view"


def parsed_mag(text: str) -> Triple | None:
    """Return the factors, along z, y, x, of a mag; None for what is none.

    Examples
    --------
    >>> parsed_mag("2"), parsed_mag("4-2-1"), parsed_mag("2-2")
    ((2, 2, 2), (1, 2, 4), None)
    """
    if not _MAG.match(text):
        return None
    parts = [int(p) for p in text.split("-")]
    x, y, z = parts * 3 if len(parts) == 1 else parts
    return z, y, x


def layer_title(address: str, taken: Iterable[str]) -> str:
    """Return a name for the layer of an image that no other has.

    Examples
    --------
    >>> layer_title("lab/em.h5::/volumes/raw data", ["raw_data"])
    'raw_data-2'
    """
    last = re.split(r"[/:]+", address.rstrip("/:"))[-1]
    name = _ODD.sub("_", last).lstrip(".") or "layer"
    used = set(taken)
    further = (f"{name}-{i}" for i in range(2, len(used) + 3))
    return name if name not in used else next(n for n in further if n not in used)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """An image in a dataset. Everything is along z, y, x, in voxels of mag 1 of the dataset unless said otherwise.

    Parameters
    ----------
    name : str
        Of the layer.
    volume : Volume
        The image.
    finest : tuple of three int
        Mag of level 0.
    corner : tuple of three int
        Where level 0 begins, in its own voxels.
    stretch, shift : tuple of three floats
        What is left to say of its place: dataset = layer × stretch + shift.
    mags : mapping
        Mag → number of the level.
    address : str
        Of the image.
    """

    name: str
    volume: Volume
    finest: Triple
    corner: Triple
    stretch: tuple[float, float, float]
    shift: tuple[float, float, float]
    mags: Mapping[Triple, int]
    address: str = ""

    def shape(self, mag: Triple) -> Triple:
        """Return the voxels of a mag from 0 to its end."""
        level = self.volume.levels[self.mags[mag]]
        z, y, x = (n + o for n, o in zip(level.shape, self._origin(mag), strict=True))
        return z, y, x

    def _origin(self, mag: Triple) -> Triple:
        factors = self.volume.levels[self.mags[mag]].factors
        z, y, x = (c // f for c, f in zip(self.corner, factors, strict=True))
        return z, y, x

    def read(self, mag: Triple, origin: Triple, shape: Triple, time: int = 0) -> NDArray[Any]:
        """Return voxels of a mag along z, y, x, c; zeros where there is nothing."""
        z, y, x = (a - b for a, b in zip(origin, self._origin(mag), strict=True))
        voxels: NDArray[Any] = self.volume.read(self.mags[mag], (z, y, x), shape, times=(time, time + 1))[0]
        return voxels

    def bucket(self, mag: Triple, index: tuple[int, ...]) -> bytes | None:
        """Return a bucket, numbered along c, perhaps t, x, y, z; None where all is zero."""
        *first, x, y, z = index
        shape = self.shape(mag)
        place = (z * BUCKET, y * BUCKET, x * BUCKET)
        outside = any(p >= n for p, n in zip(place, shape, strict=True))
        if outside or len(first) != len(self._first_axes) or first[0] or sum(first) >= self.volume.times:
            return None
        data = self.read(mag, place, (BUCKET,) * 3, sum(first))
        return data.tobytes() if data.any() else None

    @property
    def _first_axes(self) -> tuple[str, ...]:
        return ("c", "t") if "t" in self.volume.axes else ("c",)

    # ------------------------------------------------------------------------------------------------- documents
    def array_document(self, mag: Triple) -> bytes:
        """Return ``.zarray`` of a mag."""
        volume = self.volume
        first = [volume.channels, *([volume.times] if "t" in volume.axes else [])]
        document = {
            "zarr_format": 2,
            "dtype": volume.dtype.str,
            "order": "F",
            "chunks": [volume.channels, *[1] * (len(first) - 1), BUCKET, BUCKET, BUCKET],
            "compressor": None,
            "filters": None,
            "fill_value": 0,
            "dimension_separator": ".",
            "shape": [*first, *self.shape(mag)[::-1]],
        }
        return json.dumps(document).encode()

    def entry(self) -> dict[str, Any]:
        """Return what ``dataLayers`` says of the layer."""
        volume = self.volume
        corner, size = (
            [n * f for n, f in zip(numbers, self.finest, strict=True)]
            for numbers in (self.corner, volume.levels[0].shape)
        )
        names = (*self._first_axes, "x", "y", "z")
        order = {name: place for place, name in enumerate(names)}
        document: dict[str, Any] = {
            "name": self.name,
            "category": "segmentation" if volume.label else "color",
            "boundingBox": {"topLeft": corner[::-1], "width": size[2], "height": size[1], "depth": size[0]},
            "dataFormat": "zarr",
            "mags": [
                {"mag": list(mag[::-1]), "path": f"./{self.name}/{mag_literal(mag)}", "axisOrder": order}
                for mag in self.mags
            ],
            "numChannels": volume.channels,
            "elementClass": _element_class(volume.dtype, volume.channels),
        }
        if "t" in names:
            document["additionalAxes"] = [{"name": "t", "bounds": [0, volume.times], "index": 1}]
        if volume.label:
            document["largestSegmentId"] = volume.largest_label
        if any(s != 1 for s in self.stretch) or any(self.shift):
            matrix = [[0.0] * 4 for _ in range(4)]
            for row, (s, t) in enumerate(zip(self.stretch[::-1], self.shift[::-1], strict=True)):
                matrix[row][row], matrix[row][3] = s, t
            matrix[3][3] = 1.0
            document["coordinateTransformations"] = [{"type": "affine", "matrix": matrix}]
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Layers that are shown together.

    Parameters
    ----------
    address : str
        Of an image, or of a folder or file that holds several.
    voxel_size : tuple of three floats
        Of mag 1 along z, y, x, in nanometers.
    layers : mapping of str to Layer
        By name.
    """

    address: str
    voxel_size: tuple[float, float, float]
    layers: Mapping[str, Layer] = field(default_factory=dict)

    def source(self) -> dict[str, Any]:
        """Return ``datasource-properties.json`` as an object."""
        return {
            "id": {"name": self.address, "team": ""},
            "scale": list(self.voxel_size[::-1]),
            "dataLayers": [layer.entry() for layer in self.layers.values()],
            "version": 1,
        }

    def document(self, url: str) -> dict[str, Any]:
        """Return what the API tells of the dataset, whose data the server at `url` has."""
        visitor = current_visitor()
        source = self.source()
        source["scale"] = {"factor": source["scale"], "unit": "nanometer"}
        return {
            "id": dataset_id(self.address),
            "name": self.address,
            "directoryName": self.address,
            "isPublic": visitor is None or visitor.rules.public(self.address),
            "isActive": True,
            "isEditable": False,
            "folderId": "",
            "allowedTeams": [],
            "allowedTeamsCumulative": [],
            "tags": [],
            "metadata": [],
            "description": None,
            "owningOrganization": "voxarium",
            "created": 0,
            "dataStore": {"name": "voxarium", "url": url, "allowsUpload": False},
            "dataSource": source,
        }


def layer_of(name: str, volume: Volume, voxel_size: tuple[float, float, float]) -> Layer:
    """Return a volume as a layer of a dataset of a voxel size.

    An image that begins at a whole number of voxels has these as the corner of its box, and only the levels whose
    voxels then lie at whole numbers of theirs; what is left is said by a transformation of the layer.

    Raises
    ------
    UnsupportedError
        If it has too many channels.
    """
    if volume.channels > _MOST_CHANNELS or not volume.levels:
        raise UnsupportedError(
            f"{volume.channels} channels are more than a layer has",
            code=Code.FEATURE_UNSUPPORTED,
            fix="read it as OME-Zarr",
        )
    ratio = [own / size for own, size in zip(volume.voxel_size, voxel_size, strict=True)]
    whole = all(round(r) >= 1 and abs(r - round(r)) <= 1e-9 * r for r in ratio)
    finest = tuple(round(r) for r in ratio) if whole else (1, 1, 1)
    stretch = (1.0, 1.0, 1.0) if whole else tuple(ratio)
    corner, shift = [], []
    for centre, r in zip(volume.centre, ratio, strict=True):
        begins = centre - 0.5
        near = round(begins) if abs(begins) < _FARTHEST else -1
        exact = near >= 0 and abs(begins - near) <= _EXACT
        corner.append(near if exact else 0)
        shift.append(0.0 if exact else begins * r)
    mags: dict[Triple, int] = {}
    for number, level in enumerate(volume.levels):
        if not any(c % f for c, f in zip(corner, level.factors, strict=True)):
            z, y, x = (f * n for f, n in zip(level.factors, finest, strict=True))
            mags.setdefault((z, y, x), number)
    return Layer(
        name=name,
        volume=volume,
        finest=(finest[0], finest[1], finest[2]),
        corner=(corner[0], corner[1], corner[2]),
        stretch=(stretch[0], stretch[1], stretch[2]),
        shift=(shift[0], shift[1], shift[2]),
        mags=mags,
    )


def _element_class(dtype: np.dtype[Any], channels: int) -> str:
    """Return the element class: its bits are those of all channels together."""
    bits = dtype.itemsize * 8 * channels
    name = f"{dtype.name.rstrip('0123456789')}{bits}"
    return {"float32": "float", "float64": "double"}.get(name, name)
