"""Numbers to colours: contrast windows, channel mixes, and distinct stable colours of labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.model.image import ImageInfo

__all__ = ["channel_colors", "channel_windows", "label_colors", "label_edges", "mix_channels"]

_MIX: Final = (
    (0.0, 1.0, 0.0),
    (1.0, 0.0, 1.0),
    (0.0, 1.0, 1.0),
)  # green, magenta, cyan: told apart by most eyes


def real(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Return samples as float32: magnitudes of complex ones, 0 for what is no number."""
    values = np.abs(samples) if np.iscomplexobj(samples) else samples
    return np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)


def channel_windows(info: ImageInfo, planes: list[NDArray[np.float32]]) -> list[tuple[float, float]]:
    """Return the range of values to show for each channel: as stated, else the middle 99 % at hand.

    Voxels of value 0 are left out when they are many but not all: they are mostly where nothing was imaged.
    Colour photographs keep one window, or their hues would shift.
    """
    if info.value.components == "rgb" and not info.display.channels:
        top = max(float(p.max(initial=0.0)) for p in planes)
        return [(0.0, 255.0 if info.levels[0].array.dtype == np.uint8 else top or 1.0)] * planes[0].shape[0]
    windows = []
    for c in range(planes[0].shape[0]):
        hint = info.display.channels[c].window if c < len(info.display.channels) else None
        if hint is not None and hint[1] > hint[0] and not _is_whole(hint, info.levels[0].array.dtype):
            windows.append((float(hint[0]), float(hint[1])))
            continue
        values = np.concatenate([p[c].ravel() for p in planes])
        lit = values[values != 0]
        if 0 < lit.size < 0.95 * values.size:
            values = lit
        low, high = (float(q) for q in np.percentile(values, (0.5, 99.5)))
        if high <= low:  # one value everywhere: 0 is black, all else half bright
            low, high = min(0.0, 2.0 * low), max(0.0, 2.0 * low) or 1.0
        windows.append((low, high))
    return windows


def _is_whole(window: tuple[float, float], dtype: np.dtype[Any]) -> bool:
    """Tell whether a window is but the range of a wide type: what writers put where one has to be and none is known."""
    if dtype.kind not in "iu" or dtype.itemsize == 1:
        return False
    limits = np.iinfo(dtype)
    return window[0] <= float(limits.min) and window[1] >= float(limits.max)


def channel_colors(info: ImageInfo, count: int) -> list[tuple[float, float, float]]:
    """Return the colour (red, green, blue, 0–1) of each channel."""
    if count == 3 and info.value.components == "rgb":
        return [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
    out = []
    for c in range(count):
        text = info.display.channels[c].color if c < len(info.display.channels) else None
        found = _parse_color(text)
        out.append(found if found is not None else ((1.0, 1.0, 1.0) if count == 1 else _MIX[c % 3]))
    return out


def _parse_color(text: str | None) -> tuple[float, float, float] | None:
    digits = (text or "").lstrip("#")
    try:
        value = int(digits, 16)
    except ValueError:
        return None
    if len(digits) != 6 or value == 0:
        return None
    return (value >> 16) / 255.0, (value >> 8 & 255) / 255.0, (value & 255) / 255.0


def mix_channels(
    planes: NDArray[np.float32], windows: list[tuple[float, float]], colors: list[tuple[float, float, float]]
) -> NDArray[np.float32]:
    """Return red, green, blue (0–1, shape (y, x, 3)) of channels of shape (c, y, x), added up."""
    out = np.zeros((*planes.shape[1:], 3), np.float32)
    for plane, (low, high), color in zip(planes, windows, colors, strict=True):
        out += np.clip((plane - low) / (high - low), 0.0, 1.0)[..., None] * np.asarray(color, np.float32)
    return np.minimum(out, 1.0)


def label_colors(
    labels: NDArray[Any], stated: Mapping[int, tuple[int, int, int, int]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return colour (…, 3) and opacity (…) of every label, 0–1. A label has the same colour in every picture.

    Label 0 is background and has no opacity. `stated` colours (RGBA, 0–255) go first.
    """
    ids, inverse = np.unique(labels, return_inverse=True)
    h = _scrambled(ids.astype(np.int64).view(np.uint64) if ids.dtype.kind == "i" else ids.astype(np.uint64))
    hue = (h & np.uint64(0xFFFF)).astype(np.float64) / 65536.0
    saturation = 0.45 + 0.5 * ((h >> np.uint64(16)) & np.uint64(0xFF)).astype(np.float64) / 255.0
    value = 0.78 + 0.22 * ((h >> np.uint64(24)) & np.uint64(0xFF)).astype(np.float64) / 255.0
    sector = (hue[:, None] * 6.0 + np.array([5.0, 3.0, 1.0])) % 6.0
    rgb = value[:, None] * (1.0 - saturation[:, None] * np.clip(np.minimum(sector, 4.0 - sector), 0.0, 1.0))
    alpha = (ids != 0).astype(np.float64)
    if stated:
        for i, label in enumerate(ids.tolist()):
            rgba = stated.get(int(label))
            if rgba is not None:
                rgb[i], alpha[i] = np.array(rgba[:3]) / 255.0, rgba[3] / 255.0
    inverse = inverse.reshape(labels.shape)
    return rgb.astype(np.float32)[inverse], alpha.astype(np.float32)[inverse]


def _scrambled(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def label_edges(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which pixels touch another label to the right or below."""
    edge = np.zeros(labels.shape, bool)
    edge[:-1] |= labels[:-1] != labels[1:]
    edge[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    return edge
