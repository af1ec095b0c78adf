"""WEBKNOSSOS layers: ``datasource-properties.json`` and beside it a folder for each layer.

Spec: https://docs.webknossos.org/webknossos/data/concepts.html. Layers of WKW, Zarr 2, Zarr 3, N5 and precomputed
arrays are read, in all dialects of the document. Arrays are padded and count from voxel 0 of the dataset: levels show
the part inside the bounding box, axes in the order c, z, y, x, positions at voxel centres, whatever an OME-Zarr
document beside the arrays says. Paths of mags are followed inside the store only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from voxarium.errors import Code, FormatError, InputError, NotFoundError, UnsupportedError, VoxariumError
from voxarium.model.abilities import NUMBERS, Holds, ReaderLimit
from voxarium.model.array_specs import join_key
from voxarium.model.axes import SPACE_UNITS, Axis
from voxarium.model.collection import CollectionInfo, Member
from voxarium.model.image import ArrayInfo, Bag, ImageInfo, SourceRecord
from voxarium.model.keys import resolved_key
from voxarium.model.protocols import ReadableStore
from voxarium.model.transforms import Transform
from voxarium.spec import webknossos
from voxarium.spec.webknossos import Layer, Mag, StoredMag
from voxarium.spec.zarr3 import GroupMetadata, dump_group

__all__ = ["WebknossosDatasetDriver", "WebknossosDriver"]

_ARRAYS: Final = {"wkw": "wkw", "zarr3": "webknossos-zarr3"}
_GROUP: Final = "zarr.json"


class WebknossosDriver:
    """The convention of WEBKNOSSOS on top of WKW, Zarr, N5 and precomputed arrays."""

    name: ClassVar[str] = webknossos.FORMAT
    spec_url: ClassVar[str] = "https://docs.webknossos.org/webknossos/data/concepts.html"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read", "write"})
    spec_versions: ClassVar[tuple[str, ...]] = ("wkw", "zarr3")  # what the arrays of a layer are
    enclosing_documents: ClassVar[tuple[str, ...]] = (webknossos.DOCUMENT,)
    precedence: ClassVar[int] = -10  # a layer of Zarr arrays is an OME-Zarr image too, with wrong positions
    holds: ClassVar[Holds] = Holds(
        dtypes=NUMBERS,
        ndim=(3, 4),
        axis_names=frozenset("zyxc"),
        units=frozenset(SPACE_UNITS),
        name=True,
        windows=True,
        colors=True,
        largest_label=True,
        fill_values="zero",
        roles=frozenset({"label"}),
        reader_limits=(
            ReaderLimit(
                reader="WEBKNOSSOS",
                dtypes=frozenset({"uint64", "int64", "float64"}),
                roles=frozenset({"intensity", "prediction"}),
                message="WEBKNOSSOS does not show color layers of 64-bit numbers",
                fix="convert with dtype float32, uint32 or smaller",
            ),
        ),
    )

    # -- reading
    def open(self, store: ReadableStore, path: str, open_array: Callable[[str], ArrayInfo], /) -> ImageInfo:
        """Parse the layer at `path`.

        Raises
        ------
        NotFoundError
            If the folder around it holds no ``datasource-properties.json``, or that does not list the layer.
        FormatError
            If the document breaks the specification, or an array it names is not there.
        UnsupportedError
            If the finest mag is not in this store.
        """
        folder, _, name = path.rpartition("/")
        key = join_key(folder, webknossos.DOCUMENT)
        raw = store.get(key) if name and "::" not in path else None
        if raw is None:
            raise NotFoundError(
                f"no layer of a WEBKNOSSOS dataset at {'/'.join(p for p in (store.uri, path) if p)}",
                code=Code.METADATA_MISSING,
                fix=f"name the folder of a layer beside {webknossos.DOCUMENT}, or the dataset around it",
            )
        properties = webknossos.parse_properties(raw, key)
        layer = webknossos.parse_layer(properties, name, key)
        if layer is None:
            raise NotFoundError(
                f"{key} lists no layer {name!r}",
                code=Code.METADATA_MISSING,
                fix=f"choose one of {', '.join(sorted(properties.layers)[:20]) or 'none: it lists no layers'}",
            )
        stored, notes = _stored(store, path, folder, layer, open_array)
        return webknossos.with_notes(webknossos.parse_image(properties, layer, stored), notes)

    # -- writing
    def array_driver(self, spec_version: str, /) -> str:
        """Return the name of the driver that writes the arrays of a layer."""
        return _ARRAYS[spec_version]

    def level_path(self, level: int, transform: Transform, finest: Transform, /) -> str:
        """Return the path of a level below the layer: the name of its mag, such as ``4-4-1``, where that is known.

        The document names the mag in any case.
        """
        return webknossos.mag_name(level, transform, finest)

    def axis_order(self, axes: tuple[Axis, ...], /) -> tuple[str, ...] | None:
        """Return z, y, x and, behind them, c."""
        names = {a.name for a in axes}
        order = ("z", "y", "x", "c")
        return tuple(n for n in order if n in names) if names <= {*order} else None

    def split(self, target: str, /) -> tuple[str, str]:
        """Return the folder of the dataset, and the name of the layer in it."""
        head, _, tail = target.rpartition("/")
        return (head, tail) if head and tail else (target, "")

    def check(self, image: ImageInfo, _spec_version: str, /) -> None:
        """Raise InputError when a layer cannot hold the image."""
        webknossos.check_image(image)

    def touched(self, _path: str, _image: ImageInfo, spec_version: str, /) -> tuple[str, ...]:
        """Return the keys of the dataset's document and, with Zarr layers, of its group."""
        return (webknossos.DOCUMENT, *([_GROUP] if spec_version == "zarr3" else ()))

    def dump(
        self, path: str, image: ImageInfo, spec_version: str, existing: Mapping[str, bytes], /
    ) -> dict[str, bytes]:
        """Return the dataset's document with an entry for the layer; Zarr layers are groups in a group besides.

        Raises
        ------
        InputError
            If a layer cannot hold the image, or cannot have the name.
        FormatError
            If the present document cannot be read.
        """
        groups = []
        if spec_version == "zarr3":
            groups = [key for key in (_GROUP, join_key(path, _GROUP)) if key not in existing]
        document = webknossos.dump_properties(path, image, existing.get(webknossos.DOCUMENT), spec_version)
        return {key: dump_group(GroupMetadata()) for key in groups} | {webknossos.DOCUMENT: document}


class WebknossosDatasetDriver:
    """The dataset around WEBKNOSSOS layers, which its document lists."""

    name: ClassVar[str] = webknossos.FORMAT
    spec_url: ClassVar[str] = "https://docs.webknossos.org/webknossos/data/concepts.html"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read", "write"})
    kinds: ClassVar[frozenset[str]] = frozenset()  # each layer, as it is written, gets its entry in the document

    def open(self, store: ReadableStore, path: str, /) -> CollectionInfo:
        """Return the layers of the dataset at `path`.

        Raises
        ------
        NotFoundError
            If there is no ``datasource-properties.json``.
        FormatError
            If it breaks the specification.
        """
        key = join_key(path, webknossos.DOCUMENT)
        raw = None if "::" in path else store.get(key)
        if raw is None:
            raise NotFoundError(
                f"no {webknossos.DOCUMENT} at {'/'.join(p for p in (store.uri, path) if p)}",
                code=Code.METADATA_MISSING,
                fix="name the folder of a WEBKNOSSOS dataset",
            )
        properties = webknossos.parse_properties(raw, key)
        labels = webknossos.segmentation_names(properties)
        members = tuple(
            Member(path=name, name=name, kind="label" if name in labels else "image")
            for name in webknossos.layer_names(properties)
        )
        record = SourceRecord(format=self.name, metadata={"dataset": dict(properties.metadata)})
        return CollectionInfo(format=self.name, kind="collection", members=members, bag=Bag(records=(record,)))

    def dump(self, info: CollectionInfo, spec_version: str, /) -> dict[str, bytes]:
        """Return no documents: the layers have written theirs."""
        return {}


def _stored(
    store: ReadableStore, path: str, folder: str, layer: Layer, open_array: Callable[[str], ArrayInfo]
) -> tuple[list[StoredMag], list[str]]:
    """Open the arrays of a layer; coarser mags that lie elsewhere are left out, with a note."""
    stored: list[StoredMag] = []
    notes: list[str] = []
    for mag in layer.mags:
        literal = webknossos.mag_literal(mag.factors)
        try:
            keys = [_key(store, folder, place) for place in webknossos.mag_paths(layer, mag)]
        except (InputError, UnsupportedError) as error:
            if not stored:
                raise UnsupportedError(
                    f"the finest mag of layer {layer.name}, {literal}, is not in this store: {error.message}",
                    code=Code.FEATURE_UNSUPPORTED,
                    fix="open that address itself, or the storage that holds the dataset and the arrays",
                ) from error
            notes.append(f"mag {literal} is left out: {error.message}")
            continue
        key, array = _open(layer, mag, keys, open_array)
        stored.append(StoredMag(mag, _relative(key, path), array))
    return stored, notes


def _key(store: ReadableStore, folder: str, place: str) -> str:
    """Return the key of a mag's array; addresses are understood when they lie in this store."""
    for root in {store.uri.rstrip("/"), store.uri.removeprefix("file://").rstrip("/")}:
        if root and place.startswith(f"{root}/"):
            return resolved_key("", place.removeprefix(f"{root}/"))
    if "://" in place or place.startswith("/"):
        raise UnsupportedError(
            f"it lies at {place[:200]}, which is not followed",
            code=Code.FEATURE_UNSUPPORTED,
            fix="open that address itself",
        )
    return resolved_key(folder, place.rstrip("/"))


def _open(layer: Layer, mag: Mag, keys: list[str], open_array: Callable[[str], ArrayInfo]) -> tuple[str, ArrayInfo]:
    problem: VoxariumError | None = None
    for key in keys:
        try:
            return key, open_array(key)
        except NotFoundError as error:
            problem = problem or error
    raise FormatError(
        f"layer {layer.name} lists mag {webknossos.mag_literal(mag.factors)}, where no array can be opened: "
        f"{'' if problem is None else problem.message}",
        code=Code.LEVEL_MISSING,
        fix="copy the missing mag, or remove it from the list of mags",
    ) from problem


def _relative(key: str, path: str) -> str:
    """Return a key as seen from the layer's folder."""
    parts, base = key.split("/"), path.split("/")
    shared = 0
    while shared < min(len(parts) - 1, len(base)) and parts[shared] == base[shared]:
        shared += 1
    return "/".join([".."] * (len(base) - shared) + parts[shared:])
