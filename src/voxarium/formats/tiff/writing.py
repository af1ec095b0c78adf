"""OME-TIFF written: tiles and smaller copies of every plane, BigTIFF where it must be, and the OME-XML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from voxarium.errors import Code, InputError
from voxarium.formats.tiff.files import open_any, split
from voxarium.formats.tiff.images import TiffDriver
from voxarium.model.abilities import Holds
from voxarium.model.array_specs import join_key
from voxarium.model.axes import SPACE_UNITS, Axis, unit_factor
from voxarium.model.image import ArrayInfo, ImageInfo
from voxarium.model.protocols import ReadableStore
from voxarium.model.sources import declined
from voxarium.model.transforms import Transform, scale_translation
from voxarium.spec import tiff_parts as spec
from voxarium.spec.ome_xml import UNITS, dump_ome_xml

__all__ = ["OmeTiffDriver"]

_NAME: Final = "ome-tiff"
_ORDER: Final = "tczyx"


class OmeTiffDriver(TiffDriver):
    """OME-TIFF files with one image of 2 to 5 axes."""

    name: ClassVar[str] = _NAME
    capabilities: ClassVar[frozenset[str]] = frozenset({"read", "write"})
    precedence: ClassVar[int] = 10
    suffixes: ClassVar[tuple[str, ...]] = (".ome.tif", ".ome.tiff", ".ome.btf")
    file_suffixes: ClassVar[tuple[str, ...]] = (".tif", ".tiff", ".btf", ".tf8")
    spec_versions: ClassVar[tuple[str, ...]] = ("2016-06",)
    reducible: ClassVar[frozenset[str]] = frozenset("yx")
    """Axes along which levels may be smaller: a smaller copy belongs to one plane."""
    holds: ClassVar[Holds] = Holds(
        dtypes=frozenset(spec.DTYPES),
        ndim=(2, 5),
        axis_names=frozenset(_ORDER),
        units=frozenset(UNITS) & frozenset(SPACE_UNITS),
        name=True,
        windows=True,
        colors=True,
        metadata=True,
        roles=frozenset({"label", "prediction"}),
    )

    def open(self, store: ReadableStore, path: str, open_array: Callable[[str], ArrayInfo], /) -> ImageInfo:
        """Open an image of an OME-TIFF file, as `TiffDriver` does; other TIFF files are none.

        Raises
        ------
        NotFoundError
            If this is no OME-TIFF file.
        FormatError
            If it is broken.
        """
        key, _ = split(path)
        if not key.lower().endswith(TiffDriver.suffixes) or open_any(self.name, store, key).document is None:
            raise declined(self.name, store, path)
        return super().open(store, path, open_array)

    # ------------------------------------------------------------------------------------------------ writing
    def array_driver(self, spec_version: str, /) -> str:
        """Return ``ome-tiff-parts``."""
        return "ome-tiff-parts"

    def level_path(self, level: int, transform: Transform, _finest: Transform, /) -> str:
        """Return the name of a level among the parts."""
        return f"level{level}"

    def axis_order(self, axes: tuple[Axis, ...], /) -> tuple[str, ...] | None:
        """Return t, c, z, y, x; None when there are other axes, which `check` refuses."""
        names = {a.name for a in axes}
        return tuple(n for n in _ORDER if n in names) if len(names) == len(axes) and names <= set(_ORDER) else None

    def split(self, target: str, /) -> tuple[str, str]:
        """Every file stands for itself."""
        return target, ""

    def check(self, image: ImageInfo, spec_version: str, /) -> None:
        """Raise InputError when the image has other axes, or levels are smaller along other axes than y and x."""
        names = [a.name for a in image.axes]
        shapes = [level.array.shape for level in image.levels]
        if self.axis_order(image.axes) is None or names[-2:] != ["y", "x"] or 0 in shapes[0]:
            raise InputError(
                f"OME-TIFF holds images with the axes t, c, z, y, x, not {', '.join(names)} {shapes[0]}",
                code=Code.AXES_MISMATCH,
                fix="name the axes with --axes, such as czyx",
            )
        if any(shape[:-2] != shapes[0][:-2] for shape in shapes):
            raise InputError(
                "levels of OME-TIFF are smaller along y and x only",
                code=Code.ARGUMENT_INVALID,
                fix="use --factors 2, or --levels 1",
            )

    def touched(self, path: str, image: ImageInfo, spec_version: str, /) -> tuple[str, ...]:
        """Nothing outside the image."""
        return ()

    def dump(
        self, path: str, image: ImageInfo, spec_version: str, existing: Mapping[str, bytes], /
    ) -> dict[str, bytes]:
        """Return ``file.json`` with the OME-XML and the names of the levels."""
        parts = spec.FileParts(
            description=dump_ome_xml(image).decode(),
            levels=tuple(level.path for level in image.levels),
            per_centimeter=_density(image),
        )
        return {join_key(path, spec.FILE): spec.dump_file(parts)}


def _density(image: ImageInfo) -> tuple[float, float] | None:
    """Return voxels per centimeter along x and y, for programs that know no OME-XML."""
    placed = scale_translation(image.levels[0].transform, len(image.axes))
    units = [a.unit for a in image.axes[-2:]]
    if placed is None or any(u not in SPACE_UNITS for u in units):
        return None
    y, x = (
        1 / (abs(s) * unit_factor(str(u), "centimeter")) if s else 0.0
        for s, u in zip(placed[0][-2:], units, strict=True)
    )
    return (x, y) if all(1e-6 < v < 4e9 for v in (x, y)) else None
