"""KNOSSOS datasets: folders of cubes, ``mag1/x0000/y0000/z0000/….raw``, beside a configuration file.

Spec: https://knossos.app, see `voxarium.spec.knossos`. Open the folder, or the configuration file. Of cubes with images
and cubes with segmentation, the images open by themselves and the others by name, ``em.k.toml::seg``; several layers of
images are a dataset. Cubes are raw, PNG, JPEG, or (segmentation) snappy within zip. A cube without file was never
written. Addresses that a configuration names are not followed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, cast

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.codecs.images import decode_image
from voxarium.codecs.snappy import decode_snappy
from voxarium.codecs.zipped import unzip_only
from voxarium.errors import Code, FormatError, InputError, NotFoundError, UnsupportedError
from voxarium.model.axes import Axis
from voxarium.model.box import Box
from voxarium.model.collection import CollectionInfo, Member
from voxarium.model.grid import ChunkGrid
from voxarium.model.image import (
    ArrayInfo,
    Bag,
    ChannelDisplay,
    Display,
    ImageInfo,
    LevelInfo,
    SourceRecord,
)
from voxarium.model.keys import checked_key
from voxarium.model.protocols import IndexCache, ListableStore, ReadableStore, Span
from voxarium.model.sources import declined, place
from voxarium.spec import knossos as spec
from voxarium.spec.image_headers import parse_image_header

__all__ = ["KnossosArrayDriver", "KnossosCollectionDriver", "KnossosDriver"]

_NAME: Final = "knossos"
_SPEC: Final = "https://knossos.app"
_FOLDERS_TRIED: Final = 3
_AXES: Final = tuple(Axis(name=n, type="space", unit="nanometer") for n in "zyx")


@dataclass(frozen=True, slots=True)
class _Part:
    """Cubes of one ending of one layer, and where they are. `label` is how a user names them."""

    label: str
    layer: spec.KnossosLayer
    extension: str
    root: str
    mags: tuple[tuple[int, str], ...]  # number, name of the folder
    several: bool = False  # one of several layers of images, and not named

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels."""
        return np.dtype(self.layer.dtype or ("uint64" if self.extension in spec.SEGMENTS else "uint8"))

    def levels(self) -> tuple[tuple[spec.KnossosLevel, str], ...]:
        """Return the mags that exist, finest first, with their folders."""
        folders = dict(self.mags)
        return tuple((level, folders[level.mag]) for level in spec.levels(self.layer, list(folders)))


@dataclass(frozen=True, slots=True)
class _Cubes:
    """What turns a grid index into a key, and bytes into voxels."""

    folder: str
    prefix: str
    extension: str


class KnossosArrayDriver:
    """Reads one mag, cube by cube."""

    name: ClassVar[str] = _NAME
    spec_url: ClassVar[str] = _SPEC
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    precedence: ClassVar[int] = 10

    def open(self, store: ReadableStore, path: str, /) -> ArrayInfo:
        """Open ``<image>/mag1``, where the image is what the image driver opens.

        Raises
        ------
        NotFoundError
            If there is no such dataset or mag.
        FormatError
            If its configuration is broken.
        UnsupportedError
            If its cubes are of a kind that cannot be decoded.
        """
        image, _, folder = path.rpartition("/")
        if spec.mag_number(folder) is None:
            raise declined(self.name, store, path)
        part = _find(store, image)[0]
        found = next((level for level, name in part.levels() if name == folder), None)
        if found is None:
            raise declined(self.name, store, path)
        if part.extension not in spec.EXTENSIONS:
            raise UnsupportedError(
                f"cubes of {place(store, image)} end in {part.extension!r}, which cannot be decoded",
                code=Code.FEATURE_UNSUPPORTED,
                fix=f"convert them with KNOSSOS to one of {', '.join(spec.EXTENSIONS)}",
            )
        below = f"{part.root}/{folder}" if part.root else folder
        prefix, _ = _first_cubes(store, below)
        prefix = prefix or f"{part.layer.name}_mag{found.mag}"
        checked_key(spec.cube_key(below, prefix, (0, 0, 0), part.extension))
        return ArrayInfo(
            format=self.name,
            shape=found.shape,
            dtype=part.dtype,
            chunk_shape=part.layer.cube,
            codecs=(part.extension.lstrip("."),),
            axes=_AXES,
            transform=found.transform,
            details=_Cubes(below, prefix, part.extension),
        )

    def read_chunk(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, /) -> NDArray[Any] | None:
        """Return the voxels of one cube, or None when it was never written."""
        index = tuple(o // c for o, c in zip(box.origin, info.chunk_shape, strict=True))
        raw = store.get(_key(info, index))
        if raw is None:
            return None
        inner = box.relative_to(ChunkGrid(info.shape, info.chunk_shape).box(index).origin)
        return self.decode(info, raw)[inner.slices]

    def locate(
        self,
        store: ReadableStore,
        path: str,
        info: ArrayInfo,
        indices: Sequence[tuple[int, ...]],
        cache: IndexCache,
        /,
    ) -> list[Span | None]:
        """Return the key of each cube."""
        return [Span(_key(info, index)) for index in indices]

    def object_key(self, path: str, info: ArrayInfo, index: tuple[int, ...], /) -> str:
        """Return the key of a cube."""
        return _key(info, index)

    def object_index(self, path: str, info: ArrayInfo, key: str, /) -> tuple[int, ...] | None:
        """Return the grid index of a cube by its key; None for anything else."""
        index = spec.cube_index(key)
        return index if index and _key(info, index) == key else None

    def decode(
        self,
        info: ArrayInfo,
        payload: Buffer,
        /,
        *,
        shape: tuple[int, ...] | None = None,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Return one cube."""
        extension = cast(_Cubes, info.details).extension
        nbytes = int(np.prod(info.chunk_shape)) * info.dtype.itemsize
        view = memoryview(payload).cast("B")
        if extension == ".seg.sz.zip":
            data = decode_snappy(unzip_only(view, 32 + nbytes + nbytes // 6), nbytes)
        elif extension == ".seg.sz":
            data = decode_snappy(view, nbytes)
        elif extension == ".raw":
            data = np.frombuffer(view, np.uint8)
        else:
            return _image(bytes(view), info)
        if data.nbytes != nbytes:
            raise _corrupt(f"has {data.nbytes} bytes instead of {nbytes}", Code.CHUNK_TRUNCATED)
        return data.view(info.dtype.newbyteorder("<")).astype(info.dtype, copy=False).reshape(info.chunk_shape)

    def encoding_key(self, info: ArrayInfo, /) -> object:
        """Return a hashable description of the encoding."""
        return _NAME, cast(_Cubes, info.details).extension, info.chunk_shape


class KnossosDriver:
    """Layers, mags and voxel sizes of a KNOSSOS dataset."""

    name: ClassVar[str] = _NAME
    spec_url: ClassVar[str] = _SPEC
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    precedence: ClassVar[int] = 30  # needs a listing to find its file

    def open(self, store: ReadableStore, path: str, open_array: Callable[[str], ArrayInfo], /) -> ImageInfo:
        """Open a dataset.

        Raises
        ------
        NotFoundError
            If there is none.
        InputError
            If it has no layer of the name given.
        FormatError
            If the configuration is broken, or there are no cubes.
        UnsupportedError
            If its layers are stored in another format.
        """
        part, others = _find(store, path)
        if "::" not in path and part.several:
            raise NotFoundError(
                f"{place(store, path)} has several layers: {part.label}, {', '.join(others)}",
                code=Code.FORMAT_UNRECOGNISED,
                fix=f"name one of them, as in ::{part.label}",
            )
        levels = []
        for level, folder in part.levels():
            array = open_array(f"{path}/{folder}" if path else folder)
            levels.append(LevelInfo(path=folder, array=array, transform=level.transform))
        if not levels:
            raise FormatError(
                f"{place(store, path)} has no folder of cubes, such as mag1",
                code=Code.LEVEL_MISSING,
                fix="open the configuration file beside the folders mag1, mag2 …",
            )
        notes = list(part.layer.notes)
        if others:
            notes.append(f"further layers, to be opened by name: {', '.join(others)}")
        record = SourceRecord(format=_NAME, metadata=part.layer.metadata, notes=tuple(notes))
        label = part.extension in spec.SEGMENTS
        shown = ChannelDisplay(label=part.layer.name or None, color=part.layer.color, active=part.layer.visible)
        return ImageInfo(
            format=_NAME,
            axes=_AXES,
            levels=tuple(levels),
            name=part.label,
            role="label" if label else "intensity",
            display=Display() if label else Display(channels=(shown,)),
            bag=Bag(records=(record,)),
        )


class KnossosCollectionDriver:
    """The layers of a dataset that has several of images."""

    name: ClassVar[str] = _NAME
    spec_url: ClassVar[str] = _SPEC
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    precedence: ClassVar[int] = 30

    def open(self, store: ReadableStore, path: str, /) -> CollectionInfo:
        """List the layers.

        Raises
        ------
        NotFoundError
            If there is no such dataset, or it has one layer of images.
        FormatError
            If the configuration is broken.
        """
        if "::" in path:
            raise declined(self.name, store, path)
        part, others = _find(store, path)
        if not part.several:
            raise declined(self.name, store, path)
        members = tuple(Member(f"::{label}", label) for label in (part.label, *others))
        return CollectionInfo(format=_NAME, kind="collection", members=members, name=path.rpartition("/")[2])


def _key(info: ArrayInfo, index: tuple[int, ...]) -> str:
    cubes = cast(_Cubes, info.details)
    return spec.cube_key(cubes.folder, cubes.prefix, index, cubes.extension)


# ------------------------------------------------------------------------------------------------- finding things
def _find(store: ReadableStore, path: str) -> tuple[_Part, list[str]]:
    """Return the part of a dataset that a path names, and the names of the others."""
    address, _, wanted = path.partition("::")
    name = address.rpartition("/")[2]
    if spec.conf_rank(name) is not None:
        conf = address
    else:
        found = _conf_below(store, address)
        if found is None and not wanted and address and store.concurrency == 1:  # the last part may name a layer
            address, _, wanted = address.rpartition("/")
            found = _conf_below(store, address) if not _anything(store, path) else None
        if found is None:
            raise declined(_NAME, store, path)
        conf = found
    raw = store.get(conf)
    if raw is None:
        raise declined(_NAME, store, path)
    parts = _parts(store, conf, spec.parse_conf(raw, conf.rpartition("/")[2]))
    return _chosen(parts, wanted, place(store, path))


def _conf_below(store: ReadableStore, folder: str) -> str | None:
    """Return the key of the configuration of a folder."""
    prefix = f"{folder}/" if folder else ""
    if not isinstance(store, ListableStore):
        keys = (f"{prefix}knossos.conf", f"{prefix}mag1/knossos.conf")
        return next((key for key in keys if store.stat(key) is not None), None)
    if store.concurrency > 1 and next(iter(store.list(f"{prefix}mag1")), None) is None:
        return None  # listing a folder of a million chunks would take a thousand requests
    files, folders = store.list_dir(folder)
    ranked = sorted((rank, name) for name in files if (rank := spec.conf_rank(name)) is not None)
    if ranked:
        return prefix + ranked[0][1]
    mags = sorted((number, name) for name in folders if (number := spec.mag_number(name)) is not None)
    below = (f"{prefix}{name}/knossos.conf" for _, name in mags)
    return next((key for key in below if store.stat(key) is not None), None)


def _anything(store: ReadableStore, folder: str) -> bool:
    if not isinstance(store, ListableStore) or store.stat(folder) is not None:
        return True
    return any(store.list_dir(folder))


def _parts(store: ReadableStore, conf: str, layers: tuple[spec.KnossosLayer, ...]) -> list[_Part]:
    """Return every layer by every ending of its cubes, images first."""
    root, _, _ = conf.rpartition("/")
    head, _, tail = root.rpartition("/")
    if spec.mag_number(tail) is not None:  # the oldest layout has a configuration in every mag
        root = head
    mags = _mags(store, root, layers)
    there: set[str] = set()
    for _, folder in mags[:1]:
        there = _first_cubes(store, f"{root}/{folder}" if root else folder)[1]
    found: list[tuple[spec.KnossosLayer, str]] = []
    for layer in layers:
        stated = layer.extensions
        extra = [e for e in spec.SEGMENTS if e in there] if len(layers) == 1 else []
        found.extend((layer, extension) for extension in dict.fromkeys((*stated, *extra)) or (".raw",))
    names = [layer.name for layer, _ in found]
    parts = [
        _Part(
            layer.name if names.count(layer.name) == 1 else f"{layer.name}{extension}",
            layer,
            extension,
            root,
            tuple(mags),
        )
        for layer, extension in found
    ]
    return sorted(parts, key=lambda p: p.extension in spec.SEGMENTS)


def _mags(store: ReadableStore, root: str, layers: tuple[spec.KnossosLayer, ...]) -> list[tuple[int, str]]:
    if isinstance(store, ListableStore):
        folders = store.list_dir(root)[1]
        return sorted((number, name) for name in folders if (number := spec.mag_number(name)) is not None)
    count = max(len(layer.voxel_sizes) if layer.ordinal else 1 for layer in layers)
    return [(n, f"mag{n}") for n in range(1, count + 1)]


def _first_cubes(store: ReadableStore, folder: str) -> tuple[str, set[str]]:
    """Return how the names of cubes begin, and how they end, judged by the first folder that holds any."""
    if not isinstance(store, ListableStore):
        return "", set()
    for x in store.list_dir(folder)[1][:_FOLDERS_TRIED]:
        for y in store.list_dir(f"{folder}/{x}")[1][:_FOLDERS_TRIED]:
            for z in store.list_dir(f"{folder}/{x}/{y}")[1][:_FOLDERS_TRIED]:
                files = store.list_dir(f"{folder}/{x}/{y}/{z}")[0]
                cubes = [cube for name in files if (cube := spec.cube_prefix(name)) is not None]
                if cubes:
                    return cubes[0][0], {ending for _, ending in cubes}
    return "", set()


def _chosen(parts: list[_Part], wanted: str, where: str) -> tuple[_Part, list[str]]:
    wanted = wanted.strip("/")
    matching = [p for p in parts if wanted in (p.label, p.layer.name, p.extension.lstrip("."), p.extension[1:4])]
    chosen = parts[0] if not wanted else next(iter(matching), None)
    if chosen is None:
        raise InputError(
            f"{where} has no layer {wanted!r}",
            code=Code.ARGUMENT_INVALID,
            fix=f"choose one of {', '.join(p.label for p in parts)}",
        )
    images = sum(p.extension not in spec.SEGMENTS for p in parts)
    if not wanted and images > 1:
        chosen = replace(chosen, several=True)
    return chosen, [p.label for p in parts if p.label != chosen.label]


# --------------------------------------------------------------------------------------------------------- cubes
def _corrupt(reason: str, code: Code = Code.CHUNK_CORRUPT) -> FormatError:
    return FormatError(f"a cube {reason}", code=code, fix="copy the cube again from its source")


def _image(data: bytes, info: ArrayInfo) -> NDArray[Any]:
    header = parse_image_header(lambda start, length: data[start : start + length], len(data))
    if header is None:
        raise _corrupt("is no PNG or JPEG image")
    if header.samples != 1 or int(np.prod(header.shape)) != int(np.prod(info.chunk_shape)):
        raise _corrupt(f"is an image of {header}, which are not the voxels of {info.chunk_shape}")
    if header.dtype.itemsize != info.dtype.itemsize:
        raise _corrupt(f"is an image of {header}, not of {info.dtype}")
    return decode_image(data, header).reshape(info.chunk_shape)
