"""Words of MoBIE: formats, colours, blending."""

from __future__ import annotations

import re
from typing import Final

from voxarium.model.scene import NodeKind, SceneSource

__all__ = ["BLENDS", "DISPLAYS", "KINDS", "VERSION", "P", "digits_of", "dump_data", "fit_name", "parse_data", "word_of"]

P: Final = "mobie"
VERSION: Final = "0.3.0"
KINDS: Final[dict[str, NodeKind]] = {
    "image": "image",
    "segmentation": "labels",
    "spots": "points",
    "regions": "table",
    "regionTable": "table",
}
DISPLAYS: Final = {"imageDisplay": "image", "segmentationDisplay": "labels", "spotDisplay": "points"}
BLENDS: Final = {"sum": "additive", "alpha": "default", "sumOccluding": "default"}

# Names as the viewer understands them: those of Java, where green is brighter and orange paler than on web pages.
_COLORS: Final = {
    "white": "FFFFFF", "black": "000000", "red": "FF0000", "green": "00FF00", "blue": "0000FF", "cyan": "00FFFF",
    "magenta": "FF00FF", "yellow": "FFFF00", "orange": "FFC800", "pink": "FFAFAF", "gray": "808080",
    "darkGray": "404040", "lightGray": "C0C0C0",
}  # fmt: skip
_RGBA: Final = re.compile(r"r=?([0-9]{1,3})[-,]g=?([0-9]{1,3})[-,]b=?([0-9]{1,3})[-,]a=?([0-9]{1,3})\Z")
_BAD: Final = re.compile(r"[;,\\/\s]+")
_S3: Final = re.compile(r"https://([a-z0-9][a-z0-9-]{1,61}[a-z0-9])\.s3\.amazonaws\.com/(.+)\Z", re.DOTALL)


def fit_name(name: str) -> str:
    """Return a name that MoBIE accepts: without spaces, commas, semicolons and slashes."""
    return _BAD.sub("_", name) or "_"


def digits_of(word: object) -> str | None:
    """Return the six digits of a colour; None for other words, and for colours that are not opaque."""
    if not isinstance(word, str):
        return None
    match = _RGBA.match(word)
    if match is None:
        return _COLORS.get(word)
    r, g, b, a = map(int, match.groups())
    return f"{r:02X}{g:02X}{b:02X}" if max(r, g, b) <= 255 and a == 255 else None


def word_of(digits: str) -> str:
    """Return the word for a colour.

    Examples
    --------
    >>> word_of("00FF00"), word_of("102030")
    ('green', 'r16-g32-b48-a255')
    """
    named = next((n for n, d in _COLORS.items() if d == digits.upper()), None)
    r, g, b = (int(digits[i : i + 2], 16) for i in (0, 2, 4))
    return named or f"r{r}-g{g}-b{b}-a255"


# -- where data are
_READ: Final = {"ome.zarr": "ome-zarr", "ome.zarr.s3": "ome-zarr", "openOrganelle.s3": "n5"}


def parse_data(format: str, place: str, at_s3: bool) -> SceneSource:
    """Return a source; addresses of Amazon's S3 are kept in their short form."""
    match = _S3.match(place) if at_s3 else None
    uri = f"s3://{match[1]}/{match[2]}" if match is not None else place
    return SceneSource(uri=uri, format=_READ.get(format, format))


def dump_data(source: SceneSource) -> tuple[str, str, str] | None:
    """Return MoBIE's format, the key of the address, and the address; None when it has no such format."""
    remote = "://" in source.uri
    uri = source.uri
    if uri.startswith("s3://"):
        bucket, _, key = uri[5:].partition("/")
        uri = f"https://{bucket}.s3.amazonaws.com/{key}"
    if source.format == "ome-zarr":
        return ("ome.zarr.s3", "s3Address", uri) if remote else ("ome.zarr", "relativePath", uri)
    if source.format == "n5" and remote:
        return "openOrganelle.s3", "s3Address", uri
    if source.format.startswith("bdv.") and not remote:
        return source.format, "relativePath", uri
    return None
