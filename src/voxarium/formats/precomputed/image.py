"""Neuroglancer precomputed volumes: a folder of scales with an ``info``.

Spec: https://github.com/google/neuroglancer/blob/master/src/datasource/precomputed/volume.rst. Positions are whole
voxels from the corner of the first one; here, as everywhere, transforms map voxel centres. Dialects read: redirects
inside the store; hidden scales, which are left out; several scales of one resolution, of which the first is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar, Final

from voxarium.errors import Code, FormatError, InputError, NotFoundError, UnsupportedError
from voxarium.formats.precomputed.scale import AXES, SCALE_FORMAT, SPEC_URL, ScaleDetails
from voxarium.formats.precomputed.volume import DOCUMENT, Volume, read_volume
from voxarium.model.abilities import Holds, ReaderLimit
from voxarium.model.array_specs import join_key
from voxarium.model.axes import Axis
from voxarium.model.image import ArrayInfo, Bag, ImageInfo, LevelInfo, SourceRecord
from voxarium.model.protocols import ReadableStore
from voxarium.model.provenance import Activity
from voxarium.model.sources import declined
from voxarium.model.transforms import Identity, Transform, scale_translation
from voxarium.spec.cloudvolume_provenance import FILE_NAME, dump_layer, layer_of
from voxarium.spec.precomputed import (
    DATA_TYPES,
    ScaleInfo,
    VolumeInfo,
    dump_info,
    in_nanometers,
    scale_key,
    voxel_offset,
)

__all__ = ["PrecomputedDriver"]

_SIGNED: Final = frozenset({"int8", "int16", "int32"})
_UNIT: Final = "nanometer"


class PrecomputedDriver:
    """The convention of Neuroglancer's own volumes."""

    name: ClassVar[str] = "precomputed"
    spec_url: ClassVar[str] = SPEC_URL
    capabilities: ClassVar[frozenset[str]] = frozenset({"read", "write"})
    spec_versions: ClassVar[tuple[str, ...]] = ("1",)  # the specification has no versions
    precedence: ClassVar[int] = 30
    holds: ClassVar[Holds] = Holds(
        dtypes=frozenset(DATA_TYPES),
        ndim=(3, 4),
        axis_names=frozenset(AXES),
        units=frozenset({_UNIT}),
        translation="voxels",
        metadata=True,
        fill_values="zero",
        roles=frozenset({"label"}),
        reader_limits=(
            ReaderLimit(
                reader="Neuroglancer",
                dtypes=_SIGNED,
                roles=frozenset({"label"}),
                message="labels of a signed type are shown as grey values",
                fix="write the labels with an unsigned type, such as --dtype uint32",
            ),
        ),
    )

    # ------------------------------------------------------------------------------------------------- read
    def open(self, store: ReadableStore, path: str, open_array: Callable[[str], ArrayInfo], /) -> ImageInfo:
        """Parse the volume at `path`.

        Raises
        ------
        NotFoundError
            If there is no ``info``, or one of something else than a volume.
        FormatError
            If it breaks the specification.
        UnsupportedError
            If it redirects to another store.
        """
        volume = None if "::" in path else read_volume(store, path)
        if volume is None:
            raise declined(self.name, store, path)
        notes: list[str] = []
        levels = []
        for number in _shown(volume, notes):
            name = volume.names[number]
            array = _opened(open_array, join_key(path, name))
            levels.append(LevelInfo(path=name, array=array, transform=array.transform or Identity()))
        info = volume.info
        if volume.folder != path:
            notes.append(f"redirected to {volume.folder or 'the root'}")
        record = SourceRecord(format=self.name, metadata=volume.document, notes=tuple(notes))
        return ImageInfo(
            format=self.name,
            axes=levels[0].array.axes or (),
            levels=tuple(levels),
            role="label" if info.kind == "segmentation" else "intensity",
            bag=Bag(records=(record,), extra=info.extra),
        )

    # ------------------------------------------------------------------------------------------------ write
    def array_driver(self, _spec_version: str, /) -> str:
        """Return the name of the driver of scales."""
        return SCALE_FORMAT

    def level_path(self, level: int, transform: Transform, _finest: Transform, /) -> str:
        """Return the usual key of a scale: its voxel size, as in ``8_8_40``."""
        for ndim in (3, 4):
            found = scale_translation(transform, ndim)
            if found is not None and all(s > 0 for s in found[0]):
                return scale_key(found[0][:-4:-1])
        return f"s{level}"

    def axis_order(self, axes: tuple[Axis, ...], /) -> tuple[str, ...]:
        """Return c, z, y, x; other axes, which `check` refuses, come first."""
        names = [a.name for a in axes]
        return (*(n for n in names if n not in AXES), *(n for n in AXES if n in names))

    def split(self, target: str, /) -> tuple[str, str]:
        """Return that a volume stands for itself."""
        return target, ""

    def check(self, image: ImageInfo, _spec_version: str, /) -> None:
        """Raise when a precomputed volume cannot hold the image.

        Raises
        ------
        InputError
            If its axes or levels do not fit, or the voxel size has no unit.
        UnsupportedError
            If its type or its position cannot be held.
        """
        _volume(image)

    def touched(self, _path: str, _image: ImageInfo, _spec_version: str, /) -> tuple[str, ...]:
        """Return no keys: nothing outside a volume lists it."""
        return ()

    def dump(
        self, path: str, image: ImageInfo, _spec_version: str, _existing: Mapping[str, bytes], /
    ) -> dict[str, bytes]:
        """Return the ``info`` of the volume.

        Raises
        ------
        InputError, UnsupportedError
            As `check` does.
        """
        return {join_key(path, DOCUMENT): dump_info(_volume(image))}

    def dump_history(self, path: str, made: Activity, /) -> dict[str, bytes]:
        """Return CloudVolume's file ``provenance``; see `HistoryDriver`."""
        return {join_key(path, FILE_NAME): dump_layer(layer_of(made))}


def _shown(volume: Volume, notes: list[str]) -> list[int]:
    """Return which scales are levels, from fine to coarse; notes tell about the others."""
    scales = volume.info.scales
    numbers = [i for i, s in enumerate(scales) if not s.hidden] or list(range(len(scales)))
    if len(numbers) < len(scales):
        notes.append(f"hidden scales: {', '.join(s.key for s in scales if s.hidden)}")
    ordered = sorted(numbers, key=lambda i: math.prod(scales[i].resolution))
    if ordered != numbers:
        notes.append("scales were not listed from fine to coarse")
    out: list[int] = []
    for i in ordered:
        if out and scales[i].resolution == scales[out[-1]].resolution:
            notes.append(f"scale {scales[i].key} has the resolution of {scales[out[-1]].key}; not used")
        else:
            out.append(i)
    return out


def _opened(open_array: Callable[[str], ArrayInfo], key: str) -> ArrayInfo:
    try:
        array = open_array(key)
    except NotFoundError as error:
        raise FormatError(
            f"the info lists the scale {key!r}, which cannot be opened: {error.message}",
            code=Code.LEVEL_MISSING,
            fix="copy the missing scale, or remove it from the info",
        ) from error
    if isinstance(array.details, ScaleDetails):
        return array
    raise FormatError(
        f"the scale {key!r} is a {array.format} array",
        code=Code.METADATA_INVALID,
        fix="keep scales of a precomputed volume and other arrays in folders of their own",
    )


# ---------------------------------------------------------------------------------------------------- write
def _volume(image: ImageInfo) -> VolumeInfo:
    """Return the ``info`` of an image that is to be written."""
    names = tuple(a.name for a in image.axes)
    if names not in (AXES, AXES[1:]):
        raise InputError(
            f"precomputed stores the axes c, z, y, x or z, y, x, not {', '.join(names)}",
            code=Code.AXES_MISMATCH,
            fix="name and order the axes so, and write other axes index by index",
        )
    units = [_unit(a) for a in image.axes if a.name != "c"]
    if not image.levels:
        raise InputError("the image has no level", code=Code.ARGUMENT_INVALID, fix="give at least the full resolution")
    scales = tuple(_scale(level, names, units) for level in image.levels)
    first = image.levels[0].array
    if first.dtype.name not in DATA_TYPES:
        raise UnsupportedError(
            f"precomputed does not hold {first.dtype.name}",
            code=Code.DTYPE_UNSUPPORTED,
            fix=f"convert to one of {', '.join(DATA_TYPES)}",
        )
    if len({s.key for s in scales}) != len(scales):
        raise InputError(
            f"levels have the same path: {', '.join(s.key for s in scales)}",
            code=Code.ARGUMENT_INVALID,
            fix="give every level a voxel size of its own",
        )
    channels = first.shape[0] if len(names) == 4 else 1
    if image.role == "label" and channels > 1:
        raise UnsupportedError(
            f"labels of {channels} channels cannot be held: a precomputed segmentation has one",
            code=Code.FEATURE_UNSUPPORTED,
            fix="write each channel as a segmentation of its own, or give the image the role intensity",
        )
    return VolumeInfo(
        kind="segmentation" if image.role == "label" else "image",
        data_type=first.dtype.name,
        num_channels=channels,
        scales=scales,
        extra={k: v for k, v in image.bag.extra.items() if k not in _OURS},
    )


_OURS: Final = frozenset(
    {"@type", "type", "data_type", "num_channels", "scales", "mesh", "skeletons", "segment_properties", "redirect"}
)


def _unit(axis: Axis) -> str:
    if axis.unit is None:
        raise InputError(
            f"precomputed states voxel sizes in nanometers, and the unit of {axis.name} is not known",
            code=Code.VOXEL_SIZE_UNKNOWN,
            fix="give the voxel size and its unit, such as --voxel-size 8 --unit nanometer",
        )
    return axis.unit


def _scale(level: LevelInfo, names: tuple[str, ...], units: list[str]) -> ScaleInfo:
    details = level.array.details
    if not isinstance(details, ScaleDetails):
        raise InputError(
            f"level {level.path!r} is no scale of a precomputed volume",
            code=Code.ARGUMENT_INVALID,
            fix=f"create it with the driver {SCALE_FORMAT}",
        )
    offset = voxel_offset(level.transform, names)
    if offset != details.scale.voxel_offset:
        raise InputError(
            f"level {level.path!r} was created for the first voxel {details.scale.voxel_offset}, and is at {offset}",
            code=Code.TRANSFORM_INVALID,
            fix="create the array with the transform of its level",
        )
    sizes = (scale_translation(level.transform, len(names)) or ((), ()))[0][-3:]
    z, y, x = (in_nanometers(s, u) for s, u in zip(sizes, units, strict=True))
    return replace(details.scale, key=level.path, resolution=(x, y, z))
