"""What a layout answers, and how it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from voxarium.errors import Code, InputError
from voxarium.model.keys import checked_key

__all__ = ["Facts", "Layout", "Place", "broken", "parts_of"]


@dataclass(frozen=True, slots=True)
class Place:
    """Name of a member, and its path in the dataset."""

    name: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a member whose name is checked; empty or None: not known.

    Parameters
    ----------
    kind : str
        image, label, collection, mesh, skeleton, annotation, table or graph.
    format : str
        Such as ``ome-zarr`` or ``n5``.
    dtype : str
        Of its voxels, such as ``uint8``.
    role : str
        intensity, label or prediction.
    levels : tuple of str
        Names of its levels' arrays.
    """

    kind: str = ""
    format: str = ""
    dtype: str = ""
    role: str = ""
    levels: tuple[str, ...] = ()


class Layout(Protocol):
    """Rules about names and places."""

    name: ClassVar[str]
    thumbnail: ClassVar[str]
    """Path of the picture of the whole dataset."""
    zarr_root: ClassVar[bool]
    """Whether the root is a Zarr group, so that the whole dataset opens as one hierarchy."""
    collection_document: ClassVar[bool]
    """Whether OME-Zarr's collection document lies beside ``dataset.json``."""

    def check_name(self, dataset: str) -> None:
        """Refuse a name that a dataset must not have.

        Raises
        ------
        InputError
            With the rule and the mend.
        """
        ...

    def place(self, dataset: str, given: str, facts: Facts) -> Place:
        """Return where a member goes that somebody called `given`: by its name, or by its path in the dataset.

        Raises
        ------
        InputError
            If it must not be called so, with the rule and the mend.
        """
        ...

    def notes(self, dataset: str, place: Place, facts: Facts, names: Mapping[str, str]) -> tuple[str, ...]:
        """Return what is recommended and not so; `names` are those of all members, with their kinds."""
        ...


def broken(rule: str, what: str, fix: str) -> InputError:
    """Return the error of a name that breaks a rule of a layout."""
    return InputError(f"{what} ({rule})", code=Code.NAME_REFUSED, fix=fix)


def parts_of(given: str) -> list[str]:
    """Return the parts of a name; refuse what is no path in a dataset, or what the dataset itself uses."""
    parts = checked_key(given).split("/")
    if "::" in given or parts[0] in _OWN or any(p.startswith(".") for p in parts):
        raise InputError(
            f"{given!r} cannot be a member's name",
            code=Code.NAME_REFUSED,
            fix=f"choose another; {', '.join(_OWN)}, names with a leading dot and '::' are not for members",
        )
    return parts


_OWN = ("dataset.json", "provenance-log", "releases", "thumbnails", "zarr.json", "collection.json")
