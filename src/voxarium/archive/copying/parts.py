"""Which stored objects belong to what was asked for: members, levels, a region."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from voxarium.archive.copying.options import CopyOptions, chosen_levels
from voxarium.archive.trees import Tree
from voxarium.core.array import Array
from voxarium.core.dataset import Dataset
from voxarium.core.image import Image
from voxarium.core.opening import find, open_image
from voxarium.errors import Code, InputError, NotFoundError, UnsupportedError
from voxarium.model.keys import resolved_key
from voxarium.model.protocols import KeyedDriver
from voxarium.validation.objects import is_keyed, object_grid, stored_array

__all__ = ["ArrayPart", "ImagePart", "images_in", "parts_of"]

_EDITABLE = ("ome-zarr", "zarr2", "zarr3")
_UNSCALED = ("0.1", "0.2", "0.3")  # versions whose levels state no scale of their own

Bounds = tuple[tuple[int | None, int | None], ...]


@dataclass(frozen=True, slots=True)
class ArrayPart:
    """A level of an image, and which of its objects are meant.

    Parameters
    ----------
    array : Array
        As it is stored.
    path : str
        Of the level, below the image.
    kept : bool
        Whether it is copied at all.
    low, high : tuple of int
        First object of each axis that is copied, and the one behind the last.
    """

    array: Array
    path: str
    kept: bool
    low: tuple[int, ...] = ()
    high: tuple[int, ...] = ()

    @property
    def prefix(self) -> str:
        """Beginning of the keys of all that belongs to it."""
        return f"{self.array.path}/" if self.array.path else ""

    def wants(self, key: str) -> bool | None:
        """Tell whether an object of the store is copied; None when it is none of this array's."""
        if not key.startswith(self.prefix):
            return None
        if not self.kept:
            return False
        index = self._driver.object_index(self.array.path, self.array.info, key)
        if index is None:
            return None
        return all(a <= i < b for a, i, b in zip(self.low, index, self.high, strict=True))

    @property
    def _driver(self) -> KeyedDriver:
        driver = self.array.driver
        if isinstance(driver, KeyedDriver):
            return driver
        raise TypeError("not keyed")  # pragma: no cover  looked at when the part was made

    def iter_keys(self) -> Iterator[str]:
        """Yield the keys that its objects have, whether they are there or not."""
        if self.kept:
            for index in itertools.product(*(range(a, b) for a, b in zip(self.low, self.high, strict=True))):
                yield self._driver.object_key(self.array.path, self.array.info, index)

    @property
    def count(self) -> int:
        """How many objects it may have."""
        return math.prod(b - a for a, b in zip(self.low, self.high, strict=True)) if self.kept else 0

    def bounds(self) -> list[list[int]]:
        """Return start and stop of the voxels that the objects hold, per axis."""
        sizes = zip(self.low, self.high, self.array.info.object_shape, self.array.shape, strict=True)
        return [[a * size, min(b * size, n)] for a, b, size, n in sizes]


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image, and which of its levels and objects are meant."""

    image: Image
    levels: Sequence[ArrayPart]
    cut: bool
    notes: list[str] = field(default_factory=list)

    @property
    def path(self) -> str:
        """Path of the image in the store."""
        return self.image.path

    @property
    def dropped(self) -> set[str]:
        """Paths of levels that are left out, below the image."""
        return {part.path for part in self.levels if not part.kept}


def images_in(tree: Tree, members: Sequence[str] = ()) -> list[Image]:
    """Return the images at the root of a tree, or those at paths below it, without label images below them.

    Raises
    ------
    NotFoundError
        If nothing opens there.
    FormatError
        If something there is broken.
    """
    out: list[Image] = []
    for path in members or ("",):
        found = find(tree.store, "/".join(p for p in (tree.prefix, tree.file or path) if p))
        if isinstance(found, Image):
            out.append(found)
        elif isinstance(found, Dataset):
            out += [image for _, image in found.iter_images()]
            for error in found.problems.values():
                raise error
    labels = {resolved_key(image.path, label) for image in out for label in image.info.labels}
    return [image for image in out if image.path not in labels]


def parts_of(images: Sequence[Image], options: CopyOptions) -> list[ImagePart]:
    """Return the parts of images, and of the label images below them, that were asked for.

    Raises
    ------
    UnsupportedError
        If they are stored in a way of which a part cannot be copied.
    InputError, NotFoundError
        If there is no such level or region.
    """
    if options.box is not None and len(images) != 1:
        raise InputError(
            f"a region of {len(images):,} images",
            code=Code.ARGUMENT_INVALID,
            fix="name the image: voxarium copy SRC/PATH DST --box …, or --image KEY",
        )
    out = []
    for image in images:
        whole = _part(image, options, None)
        out.append(whole)
        labels = (open_image(image.store, resolved_key(image.path, label)) for label in image.info.labels)
        out += [_part(label, options, image) for label in labels]
    return out


def _part(image: Image, options: CopyOptions, above: Image | None) -> ImagePart:
    narrowed = bool(options.levels) or options.box is not None
    if narrowed:
        _check_editable(image)
    notes: list[str] = []
    count = len(image.arrays)
    try:
        kept = chosen_levels(options.levels, count, image.path or image.name)
    except NotFoundError:
        if above is None:
            raise
        kept = (count - 1,)
        notes.append(f"{image.path} has no such level; its coarsest is copied")
    if image.info.spec_version in _UNSCALED and 0 not in kept:
        raise UnsupportedError(
            f"OME-Zarr {image.info.spec_version} states no scales: without level 0 those of the others would be lost",
            code=Code.FEATURE_UNSUPPORTED,
            fix="copy level 0 too, upgrade it first (voxarium upgrade), or use voxarium convert",
        )
    box = None if options.box is None else _box(options.box, above or image)
    levels = [
        _array_part(image, i, i in kept, None if box is None else _on_level(box, above or image, image, i))
        for i in range(count)
    ]
    return ImagePart(image, levels, options.box is not None, notes)


def _check_editable(image: Image) -> None:
    if image.info.format not in _EDITABLE:
        raise UnsupportedError(
            f"a part of {image.path or image.name}, which is {image.info.format}, cannot be copied object by object",
            code=Code.FEATURE_UNSUPPORTED,
            fix="copy it whole, or write the part anew: voxarium convert SRC DST --crop A:B,…",
        )


def _array_part(image: Image, level: int, kept: bool, spans: list[tuple[int, int]] | None) -> ArrayPart:
    array = stored_array(image.arrays[level])
    if not is_keyed(array):
        raise UnsupportedError(
            f"nobody can tell which objects belong to {array.path or image.name}, which is {array.info.format}",
            code=Code.FEATURE_UNSUPPORTED,
            fix="copy it whole from where it can be listed, or write it anew: voxarium convert",
        )
    counts = object_grid(array).counts
    path = image.levels[level].path
    if spans is None:
        return ArrayPart(array, path, kept, (0,) * len(counts), counts)
    size = array.info.object_shape
    low = tuple(a // s for (a, _), s in zip(spans, size, strict=True))
    high = tuple(min(-(-b // s), n) for (_, b), s, n in zip(spans, size, counts, strict=True))
    return ArrayPart(array, path, kept, low, high)


# -------------------------------------------------------------------------------------------------------------- regions
def _box(bounds: Bounds, image: Image) -> list[tuple[int, int]]:
    """Return start and stop per axis of a region in voxels of level 0."""
    if len(bounds) != image.ndim:
        raise InputError(
            f"the region has {len(bounds)} ranges for {image.ndim} axes",
            code=Code.AXES_MISMATCH,
            fix=f"give start:stop for each axis; the shape is {','.join(map(str, image.shape))}",
        )
    spans = [(a or 0, n if b is None else b) for (a, b), n in zip(bounds, image.shape, strict=True)]
    if any(not 0 <= a < b <= n for (a, b), n in zip(spans, image.shape, strict=True)):
        raise InputError(
            "the region is not inside the image",
            code=Code.BOX_OUT_OF_BOUNDS,
            fix=f"stay within {','.join(f'0:{n}' for n in image.shape)}",
        )
    return spans


def _on_level(spans: list[tuple[int, int]], whole: Image, image: Image, level: int) -> list[tuple[int, int]]:
    """Return what a region of the whole image spans on a level of it or of a label image, in voxels there."""
    known = dict(zip((a.name for a in whole.axes), range(whole.ndim), strict=True))
    shape = image.level(level).shape
    out = []
    from_scales, to_scales = _scales(whole, 0), _scales(image, level)
    for axis, (name, length) in enumerate(zip((a.name for a in image.axes), shape, strict=True)):
        i = known.get(name)
        if i is None:
            out.append((0, length))
            continue
        (scale, translation), (other, moved) = from_scales[i], to_scales[axis]
        edges = [((e - 0.5) * scale + translation - moved) / other + 0.5 for e in spans[i]]
        # The tolerance absorbs rounding; whole objects are copied anyway.
        low, high = math.floor(min(edges) + 1e-6), math.ceil(max(edges) - 1e-6)
        low = min(max(low, 0), length - 1)
        out.append((low, min(max(high, low + 1), length)))
    return out


def _scales(image: Image, level: int) -> list[tuple[float, float]]:
    """Return (scale, translation) of each axis of a level."""
    scale, translation = image.scale_translation(level)
    return list(zip(scale, translation, strict=True))
