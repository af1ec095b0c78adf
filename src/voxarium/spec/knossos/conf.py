"""The three kinds of configuration files of KNOSSOS."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit, urlunsplit

from voxarium.errors import Code, FormatError, UnsupportedError
from voxarium.spec.knossos.layer import MOST, KnossosLayer, Sizes, Triple

__all__ = ["parse_conf"]

_LARGEST_CUBE: Final = 2048
_SMALLEST: Final = 1e-12
_MOST_LAYERS: Final = 1000
_MOST_TEXT: Final = 1 << 20
_LINE: Final = re.compile(r'\s*(?P<key>[A-Za-z_][A-Za-z_ ]*?)\s*(?:"(?P<text>[^"]*)"|(?P<number>[-+0-9.eE]+))?\s*;')
_PYKNOSSOS: Final = re.compile(r"\[Dataset[ \d]*\]\Z")
_SECRET: Final = ("password", "username", "ftp_mode", "token")
_TYPES: Final = ("uint8", "uint16", "uint64")
_FIX: Final = "correct the configuration file, or write it again with KNOSSOS"


def parse_conf(raw: bytes, name: str) -> tuple[KnossosLayer, ...]:
    """Parse a configuration file; `name` is its file name.

    Raises
    ------
    FormatError
        If it is none, or states impossible sizes.
    UnsupportedError
        If all its layers are stored in another format.
    """
    if len(raw) > _MOST_TEXT:
        _invalid(name, f"has {len(raw)} bytes, which no configuration has")
    text = raw.decode("utf-8", "replace")
    if name.lower().endswith(".toml"):
        return _parse_toml(text, name)
    if any(_PYKNOSSOS.match(line.strip()) for line in text.splitlines()):
        return _parse_pyknossos(text, name)
    return (_parse_lines(text, name),)


def _invalid(name: str, reason: str) -> NoReturn:
    raise FormatError(f"{name} {reason}", code=Code.METADATA_INVALID, fix=_FIX)


# ----------------------------------------------------------------------------------------------------- three kinds
def _parse_lines(text: str, name: str) -> KnossosLayer:
    """Parse the oldest kind: one ``key value;`` per line."""
    found: dict[str, Any] = {}
    for line in text.splitlines():
        match = _LINE.match(line) if len(line) < 4096 else None
        if match and not match["key"].lower().startswith(_SECRET):
            found[match["key"]] = match["text"] if match["text"] is not None else _number(match["number"])
    extent = _triple([found.get(f"boundary {a}") for a in "xyz"])
    sizes = _sizes([found.get(f"scale {a}") for a in "xyz"])
    if extent is None or sizes is None:
        _invalid(name, "does not state boundary and scale along x, y and z")
    experiment = re.sub(r"[_-]mag[0-9]+\Z", "", str(found.get("experiment name", "")))
    ratio = found.get("compression_ratio", found.get("compression ratio", 0)) or 0
    if "png" in found:
        extensions: tuple[str, ...] = (".png",)
    else:
        extensions = (".raw",) if not ratio else (".jpg",) if ratio == 1000 else (".jp2",)
    return KnossosLayer(
        name=experiment, extent=extent, voxel_sizes=(sizes,), ordinal=False, extensions=extensions, metadata=found
    )


def _number(text: str | None) -> float | bool:
    """Return the value of a key; one without value is switched on."""
    if text is None:
        return True
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return int(value) if value.is_integer() and abs(value) < MOST else value


def _parse_pyknossos(text: str, name: str) -> tuple[KnossosLayer, ...]:
    """Parse ``[Dataset]`` sections of ``_Key = value``."""
    sections: list[dict[str, str]] = []
    for line in text.splitlines():
        if _PYKNOSSOS.match(line.strip()):
            sections.append({})
        elif sections and "=" in line:
            key, _, value = line.partition("=")
            sections[-1][key.strip().lstrip("_")] = value.strip().strip('"')
    return _usable([_pyknossos_layer(s, name) for s in sections[:_MOST_LAYERS]], name)


def _pyknossos_layer(found: Mapping[str, str], name: str) -> KnossosLayer | None:
    numbers = _floats(found.get("DataScale", ""))
    sizes = [_sizes(numbers[i : i + 3]) for i in range(0, len(numbers) - 2, 3)]
    extent = _triple(_floats(found.get("Extent", "")))
    if extent is None:
        extent = _by_cubes(found)
    cube = _triple(_floats(found.get("CubeSize", "128,128,128")))
    if extent is None or cube is None or not sizes or any(s is None for s in sizes):
        _invalid(name, "lacks _Extent or _DataScale, or states impossible numbers")
    extension = found.get("BaseExt", {"0": ".raw", "2": ".png", "3": ".jpg"}.get(found.get("FileType", "0"), ""))
    return _layer(
        {
            "name": found.get("BaseName", ""),
            "extent": extent,
            "sizes": tuple(s for s in sizes if s is not None),
            "cube": cube,
            "extensions": [extension if extension.startswith(".") else f".{extension}"],
            "color": found.get("Color"),
            "visible": found.get("Visible", "1") not in ("0", "false", "False"),
            "url": found.get("BaseURL"),
            "ordinal": found.get("ServerFormat", "") != "knossos",
            "server": found.get("ServerFormat"),
        },
        found,
        name,
    )


def _by_cubes(found: Mapping[str, str]) -> Triple | None:
    counts, cube = (_floats(found.get(k, "")) for k in ("NumberofCubes", "CubeSize"))
    return _triple([n * c for n, c in zip(counts, cube or [128.0] * 3, strict=False)])


def _parse_toml(text: str, name: str) -> tuple[KnossosLayer, ...]:
    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        _invalid(name, f"is no TOML: {str(error)[:200]}")
    listed = found.get("Layer")
    if not isinstance(listed, list) or not listed or not all(isinstance(layer, dict) for layer in listed):
        _invalid(name, "has no [[Layer]]")
    return _usable([_toml_layer(layer, name) for layer in listed[:_MOST_LAYERS]], name)


def _toml_layer(found: Mapping[str, Any], name: str) -> KnossosLayer | None:
    listed = found.get("VoxelSize_nm")
    if isinstance(listed, list) and listed and not isinstance(listed[0], list):
        listed = [listed]
    sizes = [_sizes(s) for s in listed] if isinstance(listed, list) else []
    extent, cube = _triple(found.get("Extent_px")), _triple(found.get("CubeShape_px", [128, 128, 128]))
    if found.get("ServerFormat") == "precomputed" and (extent is None or cube is None or not sizes):
        return None
    if extent is None or cube is None or not sizes or any(s is None for s in sizes):
        _invalid(name, "lacks Extent_px, CubeShape_px or VoxelSize_nm of a layer, or states impossible numbers")
    endings = found.get("FileExtension", [])
    return _layer(
        {
            "name": found.get("Name", ""),
            "extent": extent,
            "sizes": tuple(s for s in sizes if s is not None),
            "cube": cube,
            "extensions": [endings] if isinstance(endings, str) else endings,
            "color": found.get("Color"),
            "visible": found.get("Visible", True) is not False,
            "url": found.get("URL"),
            "ordinal": True,
            "server": found.get("ServerFormat"),
            "dtype": found.get("DataType"),
        },
        found,
        name,
    )


def _layer(parts: Mapping[str, Any], found: Mapping[str, Any], name: str) -> KnossosLayer | None:
    """Return a layer; None when another format holds it."""
    if parts["server"] == "precomputed":
        return None
    if max(parts["cube"]) > _LARGEST_CUBE:
        _invalid(name, f"has cubes of {parts['cube']} voxels")
    if not isinstance(parts["name"], str) or not isinstance(parts["extensions"], list):
        _invalid(name, "has a layer whose name or endings are no text")
    notes = []
    if isinstance(parts["url"], str) and _address(parts["url"]).startswith(("http:", "https:")):
        notes.append(f"cubes are read beside the configuration, not from {_address(parts['url'])}")
    color = re.search(r"#([0-9A-Fa-f]{6})", str(parts["color"] or ""))
    dtype = parts.get("dtype")
    if dtype is not None and dtype not in _TYPES:
        _invalid(name, f"has a layer of type {dtype!r}")
    return KnossosLayer(
        name=parts["name"],
        extent=parts["extent"],
        voxel_sizes=parts["sizes"],
        ordinal=parts["ordinal"],
        cube=parts["cube"],
        extensions=tuple(e for e in parts["extensions"] if isinstance(e, str)),
        dtype=dtype,
        color=color[1].upper() if color else None,
        visible=parts["visible"],
        metadata=_public(found),
        notes=tuple(notes),
    )


def _usable(layers: list[KnossosLayer | None], name: str) -> tuple[KnossosLayer, ...]:
    kept = tuple(layer for layer in layers if layer is not None)
    if not kept:
        raise UnsupportedError(
            f"the layers of {name} are stored as Neuroglancer precomputed",
            code=Code.FEATURE_UNSUPPORTED,
            fix="open the folder with the info file that it names",
        )
    return kept


# ------------------------------------------------------------------------------------------------------ small parts
def _public(found: Mapping[str, Any]) -> dict[str, Any]:  # Any: as found
    """Return what may be carried along: no user names, no passwords, also not within addresses."""
    out: dict[str, Any] = {}
    for key, value in found.items():
        if not key.lower().startswith(_SECRET):
            out[key] = _address(value) if isinstance(value, str) and "://" in value else _plain(value)
    return out


def _plain(value: Any) -> Any:  # Any: TOML in, JSON out
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, Mapping):
        return _public(value)
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)


def _address(url: str) -> str:
    """Return an address without user name, password and query; empty when it is none."""
    try:
        parts = urlsplit(url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        return ""


def _floats(text: str) -> list[float]:
    try:
        return [float(part) for part in text.replace(",", " ").split()[:3000]]
    except ValueError:
        return []


def _triple(values: Any) -> Triple | None:  # Any: as found
    """Return x, y, z counts as z, y, x; None unless there are three positive whole numbers."""
    numbers = _sizes(values)
    if numbers is None or not all(n.is_integer() and n < MOST for n in numbers):
        return None
    return int(numbers[0]), int(numbers[1]), int(numbers[2])


def _sizes(values: Any) -> Sizes | None:  # Any: as found
    if not isinstance(values, list) or len(values) < 3:
        return None
    x, y, z = values[:3]
    for value in (x, y, z):
        if isinstance(value, bool) or not isinstance(value, float | int) or not _SMALLEST < value < MOST:
            return None
    return float(z), float(y), float(x)
