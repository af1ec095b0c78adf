"""What OME-XML says about the images of a file. Spec: https://docs.openmicroscopy.org/ome-model/latest/."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voxarium.model.acquisition import Acquisition
from voxarium.model.xml_tree import Element

__all__ = ["OmeDocument", "OmeImage", "TiffBlock", "WellImage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TiffBlock:
    """Which planes are where: `count` pages of a file from page `page` on, from the plane (`z`, `c`, `t`) on.

    Numbers are None where the document does not state them; `file` is empty for the file itself.
    """

    page: int | None = None
    z: int | None = None
    c: int | None = None
    t: int | None = None
    count: int | None = None
    file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WellImage:
    """Where an image belongs in a plate."""

    plate: str
    row: int
    column: int
    field: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OmeImage:
    """One image.

    Parameters
    ----------
    id, name : str
        As stated; empty when not.
    sizes : mapping of str to int
        Voxels by axis letter, XYZCT; C counts samples too.
    order : str
        Axis letters, the fastest first.
    dtype : str
        numpy name of the type; empty when it is none numpy has.
    physical : mapping of str to (float, str)
        Voxel size and unit by axis letter, for T the step.
    samples : tuple of int
        Samples per pixel of each channel.
    blocks : tuple of TiffBlock
        Where its planes are.
    acquisition : Acquisition
        Channels, planes, objective, dates.
    well : WellImage or None
        Its place in a plate.
    private : mapping
        What a document written here says that OME-XML has no place for.
    notes : tuple of str
        What was derived, or could not be read.
    """

    id: str = ""
    name: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)
    order: str = "XYZCT"
    dtype: str = ""
    physical: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    samples: tuple[int, ...] = ()
    blocks: tuple[TiffBlock, ...] = ()
    acquisition: Acquisition = field(default_factory=Acquisition)
    well: WellImage | None = None
    private: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OmeDocument:
    """A whole document.

    Parameters
    ----------
    root : Element
        Everything, as found.
    images : tuple of OmeImage
        In order.
    metadata_file : str
        Where the metadata really are, for a file that has pixels only; else empty.
    creator : str
        The program that wrote it.
    """

    root: Element
    images: tuple[OmeImage, ...] = ()
    metadata_file: str = ""
    creator: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """Names of all files that hold planes, in order, each once."""
        return tuple(dict.fromkeys(b.file for image in self.images for b in image.blocks if b.file))
