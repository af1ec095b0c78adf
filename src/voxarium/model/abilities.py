"""What a convention can express, declared by its driver; what it cannot is lost in a conversion, and said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal, Protocol, runtime_checkable

__all__ = ["INTEGERS", "NUMBERS", "Holds", "Loss", "ReaderLimit", "VersionedHolds", "holds_of"]

INTEGERS: Final = frozenset({"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"})
"""Names of the integer types."""

NUMBERS: Final = INTEGERS | {"float32", "float64"}
"""Names of the types of numbers that nearly every container stores."""

LossKind = Literal[
    "dtype", "axes", "units", "translation", "transforms", "name", "windows", "colors", "label_colors",
    "label_properties", "value", "fill_value", "role", "metadata",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderLimit:
    """Something that can be written, and that a reader many people use cannot show.

    Parameters
    ----------
    reader : str
        Name of the reader.
    dtypes, roles : frozenset of str
        Types and roles it concerns; an empty set stands for all.
    message, fix : str
        What happens there, and the mend.
    """

    reader: str
    message: str
    fix: str
    dtypes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()

    def concerns(self, dtype: str, role: str) -> bool:
        """Tell whether an image of a type and role meets the limit."""
        return (not self.dtypes or dtype in self.dtypes) and (not self.roles or role in self.roles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """One thing of an image that a target cannot hold.

    Parameters
    ----------
    kind : str
        What it is about; a user accepts losses by kind.
    message : str
        What will be gone, with its value.
    fix : str
        How to keep it.
    """

    kind: LossKind
    message: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Holds:
    """What a convention can express.

    Parameters
    ----------
    dtypes : frozenset of str
        numpy names of the types it stores.
    ndim : (int, int)
        Fewest and most axes.
    axis_names : frozenset of str or None
        Names axes may have; None = any.
    units : frozenset of str or None
        Units of space axes it can name (others are converted exactly where a length can be); None = any. An empty
        set: it names none.
    translation : {"any", "voxels", "none"}
        Where level 0 may lie: anywhere, at whole voxels from the origin, or only at the origin.
    affine : bool
        Rotation and shear: any matrix may lead from the voxels of level 0 to the world.
    transforms : bool
        Further coordinate systems, and affine transforms between them and the world.
    name, windows, colors, label_colors, label_properties, value, metadata : bool
        Name of the image; shown range and colour of channels; colours and properties of labels; raw → real; keys this
        package does not know.
    largest_label : bool
        The largest label there is, which a conversion finds as it writes them.
    fill_values : {"any", "zero"}
        Values that chunks never written may stand for.
    roles : frozenset of str
        Roles that a reader can tell afterwards; "intensity" always is.
    role_suffixes : mapping of str to str
        Roles that the end of an image's name tells.
    reader_limits : tuple of ReaderLimit
        What may be written and a common reader cannot show.
    most_levels : int or None
        How many levels it stores; None = any number.
    """

    dtypes: frozenset[str]
    ndim: tuple[int, int]
    axis_names: frozenset[str] | None = None
    units: frozenset[str] | None = None
    translation: Literal["any", "voxels", "none"] = "any"
    affine: bool = False
    transforms: bool = False
    name: bool = False
    windows: bool = False
    colors: bool = False
    label_colors: bool = False
    label_properties: bool = False
    value: bool = False
    metadata: bool = False
    largest_label: bool = False
    fill_values: Literal["any", "zero"] = "any"
    roles: frozenset[str] = frozenset()
    role_suffixes: Mapping[str, str] = field(default_factory=dict)
    reader_limits: tuple[ReaderLimit, ...] = ()
    most_levels: int | None = None


class _Convention(Protocol):
    holds: ClassVar[Holds]


@runtime_checkable
class VersionedHolds(Protocol):
    """A convention whose versions can express different things."""

    def holds_for(self, spec_version: str, /) -> Holds:
        """Return what a version can express."""


def holds_of(convention: _Convention, spec_version: str) -> Holds:
    """Return what a version of a convention can express."""
    return convention.holds_for(spec_version) if isinstance(convention, VersionedHolds) else convention.holds
