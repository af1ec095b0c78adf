"""CREMI files (HDF5): raw data and labels of the challenge on circuit reconstruction, and others of its layout.

Rules: see `voxarium.spec.cremi`. ``sample_A.hdf`` is the raw data, ``sample_A.hdf::/volumes/labels/neuron_ids`` labels;
a file with nothing but one label array is that. Written: a file with the raw data, or with ``neuron_ids``; annotations
are none of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from voxarium.codecs.hdf5_tree import find, translated
from voxarium.errors import VoxariumError
from voxarium.model.abilities import NUMBERS, Holds
from voxarium.model.array_specs import join_key
from voxarium.model.axes import Axis
from voxarium.model.image import ArrayInfo, ImageInfo
from voxarium.model.protocols import ReadableStore
from voxarium.model.sources import declined, place
from voxarium.model.transforms import Transform
from voxarium.spec import cremi, hdf5_parts

__all__ = ["CremiDriver"]

_SUFFIXES: Final = (".h5", ".hdf", ".hdf5")
_MOST_LABELS: Final = 256
_PARTS: Final = "array"


class CremiDriver:
    """The layout of CREMI on top of HDF5 arrays."""

    name: ClassVar[str] = cremi.FORMAT
    spec_url: ClassVar[str] = "https://cremi.org/data/"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read", "write"})
    file_suffixes: ClassVar[tuple[str, ...]] = _SUFFIXES
    precedence: ClassVar[int] = 70
    spec_versions: ClassVar[tuple[str, ...]] = ("0.2",)
    holds: ClassVar[Holds] = Holds(
        dtypes=NUMBERS,
        ndim=(3, 3),
        axis_names=frozenset("zyx"),
        units=frozenset({"nanometer"}),
        metadata=True,
        roles=frozenset({"label"}),
        most_levels=1,
    )

    def open(self, store: ReadableStore, path: str, open_array: Callable[[str], ArrayInfo], /) -> ImageInfo:
        """Parse the image at `path`.

        Raises
        ------
        NotFoundError
            If there is none of this layout.
        FormatError
            If its numbers cannot be used.
        """
        key, _, inner = path.partition("::")
        name = cremi.parse_name(inner)
        if name is None or not key.lower().endswith(_SUFFIXES):
            raise declined(self.name, store, path)
        try:
            labels = _labels(store, key, name) if name == cremi.RAW else None
            if labels is not None and not labels.raw:
                name, labels = labels.names[0], None
            array = open_array(f"{key}::/{name}")
        except VoxariumError as error:  # the array driver says better what is wrong with the file
            raise declined(self.name, store, path) from error
        up = "../" * (path.count("/") + 1)  # levels are named relative to the image
        level = f"{up}{key}::/{name}"
        stated = cremi.parse_image(name, array.attributes, array.ndim, level)
        if stated is None:
            raise declined(self.name, store, path)
        return replace(stated.with_arrays({level: array}), labels=labels.names if labels is not None else ())

    # -- writing
    def array_driver(self, spec_version: str, /) -> str:
        """Return ``hdf5-parts``."""
        return "hdf5-parts"

    def level_path(self, _level: int, _transform: Transform, _finest: Transform, /) -> str:
        """Return where the parts of the array are; its name in the file goes by the role."""
        return _PARTS

    def axis_order(self, axes: tuple[Axis, ...], /) -> tuple[str, ...] | None:
        """Return z, y, x."""
        return ("z", "y", "x") if sorted(a.name for a in axes) == ["x", "y", "z"] else None

    def split(self, target: str, /) -> tuple[str, str]:
        """Every file stands for itself."""
        return target, ""

    def check(self, image: ImageInfo, spec_version: str, /) -> None:
        """Raise InputError when the layout cannot hold the image."""
        cremi.check_image(image)

    def touched(self, path: str, image: ImageInfo, spec_version: str, /) -> tuple[str, ...]:
        """Nothing outside the file."""
        return ()

    def dump(
        self, path: str, image: ImageInfo, spec_version: str, existing: Mapping[str, bytes], /
    ) -> dict[str, bytes]:
        """Return what is to be in the file."""
        name = cremi.NEURON_IDS if image.role == "label" else cremi.RAW
        file = hdf5_parts.FileParts(
            attributes={"file_format": spec_version},
            datasets={_PARTS: cremi.dump_image(image)},
            names={_PARTS: name},
        )
        return {join_key(path, hdf5_parts.FILE): hdf5_parts.dump_file(file)}


@dataclass(frozen=True, slots=True)
class _Volumes:
    raw: bool
    names: tuple[str, ...]


def _labels(store: ReadableStore, key: str, name: str) -> _Volumes:
    """Return the names of the labels in a file that has the raw data, or of one with one label array only."""
    with translated(place(store, key)):
        _, volumes = find(store, key, name.partition("/")[0])
        labels = volumes.get("labels")
        found = list(labels)[:_MOST_LABELS] if hasattr(labels, "keys") else []
        names = tuple(f"{cremi.LABELS}/{n}" for n in found if hasattr(labels.get(n), "shape"))
        if "raw" not in volumes and len(names) != 1:
            raise declined(cremi.FORMAT, store, key)
        return _Volumes("raw" in volumes, names)
