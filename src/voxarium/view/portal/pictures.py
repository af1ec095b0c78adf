"""Pictures of datasets: what stands on a card, and beside a layer."""

from __future__ import annotations

import io
from typing import Final

from voxarium.errors import VoxariumError
from voxarium.model.protocols import ReadableStore
from voxarium.view.portal.facts import DatasetFacts, LayerFacts
from voxarium.view.portal.gathering import joined
from voxarium.view.thumbnail import thumbnail_png

__all__ = ["COVER_SIZE", "as_webp", "cover_png", "curated_cover", "layer_png", "picture_type", "stored_picture"]

COVER_SIZE: Final = 512
_CURATED: Final = 320  # pixels along the longer edge; `voxarium convert` makes smaller pictures
_MOST_STORED: Final = 8 << 20
_TYPES: Final = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpg"), (b"RIFF", "webp"))


def cover_png(facts: DatasetFacts, size: int = COVER_SIZE) -> bytes:
    """Return the middle of the main image with the labels that belong to it; empty where nothing can be drawn."""
    main, over = facts.main, facts.overlay
    if main is None or main.image is None:
        return b""
    try:
        return thumbnail_png(main.image, size=size, labels=None if over is None else over.image)
    except VoxariumError:
        return b""


def layer_png(layer: LayerFacts, size: int = 256) -> bytes:
    """Return the middle of a layer; empty where it cannot be drawn."""
    if layer.image is None:
        return b""
    try:
        return thumbnail_png(layer.image, size=size)
    except VoxariumError:
        return b""


def curated_cover(store: ReadableStore, facts: DatasetFacts) -> tuple[bytes, str] | None:
    """Return the picture that somebody chose for a dataset; None where there is only the one that was made for it."""
    from PIL import Image

    found = stored_picture(store, facts.path, "" if facts.document is None else facts.document.thumbnail)
    try:
        if found is not None:
            with Image.open(io.BytesIO(found[0])) as picture:
                return found if max(picture.size) >= _CURATED else None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        pass  # damaged
    return None


def stored_picture(store: ReadableStore, path: str, key: str) -> tuple[bytes, str] | None:
    """Return a picture that lies in a dataset, and the end of its name; None where it is none that browsers show."""
    try:
        stat = store.stat(joined(path, key)) if key else None
        data = store.get(joined(path, key)) if stat is not None and stat.size <= _MOST_STORED else None
    except VoxariumError:
        return None
    kind = "" if data is None else picture_type(data)
    return (data, kind) if data is not None and kind else None


def picture_type(data: bytes) -> str:
    """Return png, jpg or webp by how a picture begins; empty for anything else."""
    return next((kind for start, kind in _TYPES if data.startswith(start)), "")


def as_webp(png: bytes) -> tuple[bytes, str]:
    """Return a picture as WebP, which is a fraction as large, where Pillow can make it; and the end of its name."""
    from PIL import Image, features

    if not features.check("webp"):
        return png, "png"
    out = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        picture.save(out, "WEBP", quality=82, method=4)
    return out.getvalue(), "webp"
