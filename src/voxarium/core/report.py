"""Descriptions of images and arrays: text, HTML for notebooks, and JSON for scripts."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

from voxarium.model.grid import ChunkGrid
from voxarium.model.image import ArrayInfo
from voxarium.model.keys import resolved_key
from voxarium.model.protocols import ListableStore, SizedDriver
from voxarium.model.transforms import scale_translation

if TYPE_CHECKING:
    from voxarium.core.array import Array
    from voxarium.core.dataset import Dataset
    from voxarium.core.image import Image
    from voxarium.model.collection import Member

__all__ = [
    "array_html",
    "array_text",
    "bytes_text",
    "dataset_html",
    "dataset_json",
    "dataset_text",
    "image_html",
    "image_json",
    "image_text",
    "stored_bytes",
]

_MOST_ROWS = 20  # members that are shown to people

_SYMBOLS = {
    "nanometer": "nm", "micrometer": "µm", "millimeter": "mm", "meter": "m", "angstrom": "Å", "second": "s",
    "millisecond": "ms",
}  # fmt: skip


def bytes_text(n: float) -> str:
    """Return a size for people.

    Examples
    --------
    >>> bytes_text(1_500_000)
    '1.5 MB'
    """
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if n < 1000 or unit == "PB":
            return f"{n:.0f} {unit}" if unit == "B" or n >= 100 else f"{n:.1f} {unit}"
        n /= 1000
    return ""  # pragma: no cover  the loop always returns


def _times(shape: tuple[int, ...] | None) -> str:
    return "–" if shape is None else " × ".join(f"{n:,}" for n in shape)


def _number(value: float) -> str:
    return f"{value:.6g}"


def stored_bytes(array: Array) -> int | None:
    """Return what an array takes in its store, or None where that cannot be told cheaply (remote)."""
    store = array.store
    if isinstance(array.driver, SizedDriver):
        own = array.driver.stored_bytes(store, array.path, array.info)
        if own is not None:
            return own
    if store.concurrency != 1 or not isinstance(store, ListableStore):
        return None
    stat = store.stat(array.path.split("::")[0]) if array.path else None
    if stat is not None:
        return stat.size
    sizes = [size for _, size in store.list(array.path)]
    return sum(sizes) if sizes else None


def _geometry(image: Image, level: int) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    return scale_translation(image.levels[level].transform, image.ndim) or (None, None)


def image_json(image: Image) -> dict[str, Any]:
    """Return the description that ``voxarium info --json`` prints."""
    levels = []
    for i, (info, array) in enumerate(image.iter_levels()):
        scale, translation = _geometry(image, i)
        levels.append(
            {
                "path": info.path,
                "shape": list(array.shape),
                "dtype": array.dtype.name,
                "chunk": list(array.info.chunk_shape),
                "shard": None if array.info.shard_shape is None else list(array.info.shard_shape),
                "codecs": list(array.info.codecs),
                "fill_value": _json_scalar(array.info.fill_value),
                "voxel_size": None if scale is None else [abs(s) for s in scale],
                "scale": None if scale is None else list(scale),
                "translation": None if translation is None else list(translation),
                "stored_bytes": stored_bytes(array),
            }
        )
    return {
        "uri": "/".join(p for p in (image.store.uri, image.path) if p),
        "name": image.name,
        "format": image.info.format,
        "spec_version": image.info.spec_version,
        "role": image.role,
        "axes": [{"name": a.name, "type": a.type, "unit": a.unit} for a in image.axes],
        "axes_stated": image.info.axes_stated,
        "method": image.info.method,
        "labels": list(image.info.labels),
        "levels": levels,
    }


def _json_scalar(value: Any) -> Any:
    if isinstance(value, complex) or (getattr(value, "dtype", None) is not None and value.dtype.kind == "c"):
        return [value.real, value.imag]
    plain = value.item() if hasattr(value, "item") else value
    return str(plain) if isinstance(plain, float) and not math.isfinite(plain) else plain


def _size_line(image: Image) -> str:
    scale, _ = _geometry(image, 0)
    if scale is None:
        return "rotated or sheared"
    parts = []
    for axis, s in zip(image.axes, scale, strict=True):
        if axis.type in ("space", "time"):
            unit = _SYMBOLS.get(axis.unit or "", axis.unit or "")
            parts.append(f"{axis.name} {_number(abs(s))}{f' {unit}' if unit else ''}")
    return ", ".join(parts) or "none"


def _inside(image: Image, path: str) -> str:
    """Return the path of a level for people: what is in the image's own file by its name there."""
    file, mark, name = resolved_key(image.path, path).partition("::") if "::" in path else ("", "", "")
    return name if mark and file == image.path.partition("::")[0] else path


def _rows(image: Image) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for i, (info, array) in enumerate(image.iter_levels()):
        scale, _ = _geometry(image, i)
        stored = stored_bytes(array)
        rows.append(
            (
                str(i),
                _inside(image, info.path) or "–",
                _times(array.shape),
                _times(array.info.chunk_shape),
                _times(array.info.shard_shape),
                "–" if scale is None else " × ".join(_number(abs(s)) for s in scale),
                " ".join(array.info.codecs) or "–",
                bytes_text(array.nbytes),
                "–" if stored is None else bytes_text(stored),
            )
        )
    return rows


_HEAD = ("level", "path", "shape", "chunk", "shard", "voxel size", "codecs", "raw", "stored")


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(r[i]) for r in (_HEAD, *rows)) for i in range(len(_HEAD))]
    return [
        "  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in (_HEAD, *rows)
    ]


def _head(image: Image) -> list[tuple[str, str]]:
    version = f" {image.info.spec_version}" if image.info.spec_version else ""
    names = " ".join(a.name for a in image.axes) + ("" if image.info.axes_stated else "  (not stated by the file)")
    out = [
        ("format", f"{image.info.format}{version}"),
        ("role", image.role),
        ("type", image.dtype.name),
        ("axes", names),
        ("voxel size", _size_line(image)),
    ]
    if image.info.method:
        out.append(("levels by", image.info.method))
    if image.info.labels:
        out.append(("labels", ", ".join(image.info.labels)))
    return out


def image_text(image: Image) -> str:
    """Return a description for people."""
    lines = [f"Image {image.name}", *(f"  {k}: {v}" for k, v in _head(image)), *_table(_rows(image))]
    return "\n".join(lines)


def image_html(image: Image) -> str:
    """Return a description for notebooks."""
    esc = html.escape
    head = "".join(
        f"<tr><th style='text-align:left'>{esc(k)}</th><td style='text-align:left'>{esc(v)}</td></tr>"
        for k, v in _head(image)
    )
    columns = "".join(f"<th>{esc(h)}</th>" for h in _HEAD)
    body = "".join("<tr>" + "".join(f"<td>{esc(c)}</td>" for c in row) + "</tr>" for row in _rows(image))
    return (
        f"<div><b>Image {esc(image.name)}</b><table>{head}</table>"
        f"<table><thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _array_lines(array: Array) -> list[tuple[str, str]]:
    info: ArrayInfo = array.info
    lines = [("format", info.format), ("type", info.dtype.name), ("shape", _times(info.shape))]
    if info.axes is not None:
        lines.append(("axes", " ".join(a.name for a in info.axes)))
    lines.append(("chunk", _times(info.chunk_shape)))
    if info.shard_shape is not None:
        lines.append(("shard", _times(info.shard_shape)))
    lines.append(("codecs", " ".join(info.codecs) or "–"))
    lines.append(("chunks", f"{ChunkGrid(info.shape, info.chunk_shape).size:,}"))
    lines.append(("raw", bytes_text(array.nbytes)))
    return lines


def array_text(array: Array) -> str:
    """Return a description for people."""
    name = array.path or array.store.uri
    return "\n".join([f"Array {name}", *(f"  {k}: {v}" for k, v in _array_lines(array))])


def array_html(array: Array) -> str:
    """Return a description for notebooks."""
    esc = html.escape
    rows = "".join(
        f"<tr><th style='text-align:left'>{esc(k)}</th><td>{esc(v)}</td></tr>" for k, v in _array_lines(array)
    )
    return f"<div><b>Array {esc(array.path or array.store.uri)}</b><table>{rows}</table></div>"


# -- datasets
def _counted(dataset: Dataset) -> str:
    """Return how many members there are, in the words of their kind."""
    of = {"plate": "wells", "well": "images", "series": "images"}.get(dataset.kind)
    if of is None:
        kinds = {m.kind for m in dataset.members}
        of = "images" if kinds <= {"image", "label"} else "members"
    return f"{len(dataset):,} {of}"


def _dataset_title(dataset: Dataset) -> str:
    version = f" {dataset.info.spec_version}" if dataset.info.spec_version else ""
    what = "" if dataset.kind == "folder" else f", {dataset.kind} of {dataset.info.format}{version}"
    return f"Dataset {dataset.name}: {_counted(dataset)}{what}"


def _member_facts(dataset: Dataset, member: Member) -> str:
    """Return what is known about a member; its size when it is open."""
    from voxarium.core.image import Image

    found = dataset.opened(member.path)
    if isinstance(found, Image):
        return f"{found.role}, {found.dtype} {_times(found.shape)}, {len(found.levels)} levels"
    named = [member.name] if member.name and member.name != member.path else []
    return ", ".join([*named, member.kind if found is None else _counted(found)])


def _plain_facts(dataset: Dataset) -> list[str]:
    out = []
    for key, value in dataset.info.facts.items():
        if isinstance(value, (str, int, float)):
            out.append(f"{key}: {value}")
        elif isinstance(value, (list, tuple)) and value and all(isinstance(v, (str, int)) for v in value):
            shown = " ".join(str(v) for v in value[:12])
            out.append(f"{key}: {shown}{' …' if len(value) > 12 else ''}")
    return out


def dataset_text(dataset: Dataset) -> str:
    """Return a description for people; opens nothing."""
    lines = [_dataset_title(dataset), *(f"  {fact}" for fact in _plain_facts(dataset))]
    members = dataset.members[:_MOST_ROWS]
    lines.extend(f"  {m.path}: {_member_facts(dataset, m)}" for m in members)
    if len(dataset) > len(members):
        lines.append(f"  … and {len(dataset) - len(members):,} more")
    lines.extend(f"  note: {note}" for note in dataset.info.notes[:_MOST_ROWS])
    problems = list(dataset.problems.items())
    lines.extend(f"  {path}: cannot be opened: {error}" for path, error in problems[:_MOST_ROWS])
    if len(problems) > _MOST_ROWS:
        lines.append(f"  … and {len(problems) - _MOST_ROWS:,} more that cannot be opened")
    return "\n".join(lines)


def dataset_html(dataset: Dataset) -> str:
    """Return a description for notebooks; opens nothing."""
    esc = html.escape
    members = dataset.members[:_MOST_ROWS]
    rows = "".join(
        f"<tr><td>{esc(m.path)}</td><td style='text-align:left'>{esc(_member_facts(dataset, m))}</td></tr>"
        for m in members
    )
    rest = [f"… and {len(dataset) - len(members):,} more"] if len(dataset) > len(members) else []
    said = [*rest, *_plain_facts(dataset), *dataset.info.notes[:_MOST_ROWS]]
    return (
        f"<div><b>{esc(_dataset_title(dataset))}</b><table><tbody>{rows}</tbody></table>"
        f"{''.join(f'<div>{esc(text)}</div>' for text in said)}</div>"
    )


def dataset_json(dataset: Dataset) -> dict[str, Any]:
    """Return the description of a dataset for scripts. Nothing is opened: images that are open are described."""
    from voxarium.core.image import Image

    opened = ((m.path, dataset.opened(m.path)) for m in dataset.members)
    return {
        "format": "dataset" if dataset.kind == "folder" else dataset.info.format,
        "spec_version": dataset.info.spec_version,
        "kind": dataset.kind,
        "name": dataset.name,
        "uri": "/".join(p for p in (dataset.store.uri, dataset.path) if p),
        "complete": True,
        "facts": dict(dataset.info.facts),
        "members": [{"path": m.path, "name": m.name, "kind": m.kind, "facts": dict(m.facts)} for m in dataset.members],
        "images": [{"key": key, **image_json(found)} for key, found in opened if isinstance(found, Image)],
        "notes": list(dataset.info.notes),
        "problems": {path: error.message for path, error in dataset.problems.items()},
    }
