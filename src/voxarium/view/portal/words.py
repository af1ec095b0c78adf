"""Numbers, sizes and times as people read them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, urlsplit

from voxarium.core.image import Image
from voxarium.errors import InputError, VoxariumError
from voxarium.model.axes import unit_factor

__all__ = [
    "axes_text",
    "identifier_link",
    "length_text",
    "lengths_text",
    "licence_link",
    "nanometres",
    "safe_link",
    "shown_address",
    "times",
    "voxel_size_of",
    "voxel_text",
]

_SYMBOLS: Final = {"nanometer": "nm", "micrometer": "µm", "millimeter": "mm", "meter": "m", "angstrom": "Å"}
_LENGTHS: Final = (("km", 1e12), ("m", 1e9), ("cm", 1e7), ("mm", 1e6), ("µm", 1e3), ("nm", 1.0), ("pm", 1e-3))
_DOI: Final = re.compile(r"(?:https?://(?:dx\.)?doi\.org/|doi:)?(10\.[0-9]{4,9}/[^\s\"<>]{1,400})", re.IGNORECASE)
_SPDX: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{1,60}")


def times(shape: Sequence[int]) -> str:
    """Return a shape.

    Examples
    --------
    >>> times((1024, 3, 4))
    '1,024 × 3 × 4'
    """
    return " × ".join(f"{n:,}" for n in shape)


def axes_text(names: Sequence[str]) -> str:
    """Return the names of axes: ``zyx``, or ``depth row column`` where they are words."""
    return ("" if all(len(n) == 1 for n in names) else " ").join(names)


def voxel_size_of(image: Image) -> tuple[float, ...] | None:
    """Return the size of a voxel along each axis; None when the image is rotated or sheared."""
    try:
        return image.voxel_size()
    except VoxariumError:
        return None


def voxel_text(image: Image) -> str:
    """Return the size of a voxel along the axes of space, with the unit once where it is the same for all."""
    size = voxel_size_of(image)
    if size is None:
        return "voxels are rotated or sheared"
    space = [i for i, a in enumerate(image.axes) if a.type == "space"]
    units = {image.axes[i].unit for i in space}
    if not space or units == {None}:
        return "voxel size not stated" if all(size[i] == 1 for i in space) else _joined(size, space)
    if len(units) == 1:
        unit = str(units.pop())
        return f"{_joined(size, space)} {_SYMBOLS.get(unit, unit)}"
    return ", ".join(f"{image.axes[i].name} {size[i]:g} {image.axes[i].unit or ''}".strip() for i in space)


def _joined(size: Sequence[float], space: Sequence[int]) -> str:
    return " × ".join(f"{float(f'{size[i]:.6g}'):g}" for i in space)


def nanometres(image: Image) -> tuple[float, ...] | None:
    """Return the size of a voxel along the axes of space, in nanometres; None where that is not stated."""
    size = voxel_size_of(image)
    space = [i for i, a in enumerate(image.axes) if a.type == "space"]
    if size is None or not space:
        return None
    try:
        return tuple(size[i] * unit_factor(image.axes[i].unit or "", "nanometer") for i in space)
    except InputError:
        return None


def length_text(nm: float) -> str:
    """Return a length.

    Examples
    --------
    >>> length_text(0), length_text(2500), length_text(-8)
    ('0', '2.5 µm', '-8 nm')
    """
    if nm == 0:
        return "0"
    unit, size = next(((u, s) for u, s in _LENGTHS if abs(nm) >= s), _LENGTHS[-1])
    return f"{nm / size:.4g} {unit}"


def lengths_text(nm: Sequence[float]) -> str:
    """Return lengths in the unit of the longest.

    Examples
    --------
    >>> lengths_text([1536, 80, 12])
    '1.536 × 0.08 × 0.012 µm'
    """
    longest = max((abs(v) for v in nm), default=0.0)
    unit, size = next(((u, s) for u, s in _LENGTHS if longest >= s), _LENGTHS[-1])
    return f"{' × '.join(f'{v / size:.4g}' for v in nm)} {unit}"


# -------------------------------------------------------------------------------------------------------------- links
def safe_link(text: str) -> str:
    """Return an address that a page may link to; empty when it is none: documents are written by anybody.

    Examples
    --------
    >>> safe_link("https://orcid.org/0000"), safe_link("javascript:alert(1)")
    ('https://orcid.org/0000', '')
    """
    if len(text) > 2000 or any(c <= " " or c in "\"'<>`\\" for c in text):
        return ""
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    return text if parts.scheme in ("http", "https") and parts.netloc else ""


def identifier_link(text: str) -> str:
    """Return the address of a DOI, or of what is an address already; empty for other identifiers.

    Examples
    --------
    >>> identifier_link("doi:10.5072/x.1"), identifier_link("EMPIAR-10311")
    ('https://doi.org/10.5072/x.1', '')
    """
    found = _DOI.fullmatch(text.strip())
    return f"https://doi.org/{quote(found[1], safe='/:;().-_')}" if found else safe_link(text.strip())


def licence_link(text: str) -> str:
    """Return where the text of a licence stands."""
    return f"https://spdx.org/licenses/{text}.html" if _SPDX.fullmatch(text) else safe_link(text)


def shown_address(address: str) -> str:
    """Return an address of the provenance log as pages show it: of places on somebody's machine only the last part.

    Digests in names are cut.

    Examples
    --------
    >>> shown_address("/data/ada/slices/"), shown_address("em/s0"), shown_address("s3://b/em")
    ('…/slices', 'em/s0', 's3://b/em')
    """
    local = address.removeprefix("file://")
    if local != address or address.startswith(("/", "~", "..")) or re.match(r"[A-Za-z]:[\\/]", address):
        last = re.split(r"[/\\]", local.rstrip("/"))[-1]
        return f"…/{last}"
    return re.sub(r"([0-9a-f]{8})[0-9a-f]{24,}", r"\1…", address)
