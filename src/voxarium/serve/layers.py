"""From addresses of images to what the viewer shows of them: as they are where it reads the format, else translated."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

from voxarium.core.image import Image
from voxarium.errors import InputError, NotFoundError, UnsupportedError, VoxariumError
from voxarium.serve.addresses import quoted
from voxarium.serve.arguments import RefusedError
from voxarium.serve.overviews import begin_overview, with_overviews
from voxarium.serve.site import Site
from voxarium.serve.translated import VIEWS, prepared, shown, shown_axes
from voxarium.view.neuroglancer_state import SHOWN_TYPES, Layer, neuroglancer_state, shown_role

__all__ = ["begin_overviews", "images_at", "state_of"]

_MOST_LAYERS: Final = 24
_OME_READ: Final = ("0.4", "0.5")  # by the released Neuroglancer (2.41)
_CODECS: Final = frozenset({"bytes", "blosc", "gzip", "zstd", "crc32c", "transpose", "sharding_indexed"})
_MIXABLE: Final = (("c", "z", "y", "x"), ("z", "y", "x", "c"))


def state_of(site: Site, addresses: list[str], base: str) -> dict[str, Any]:
    """Return the state that shows what is at some addresses: images and labels, and what lies in folders.

    Raises `RefusedError` if there is nothing that can be shown.
    """
    found: dict[str, Image] = {}
    for address in addresses:
        for place, image in images_at(site, address):
            found.setdefault(place, image)
            if len(found) > _MOST_LAYERS:
                raise RefusedError(400, f"more than {_MOST_LAYERS} images are too many for one view; name some of them")
    layers, problems = [], []
    for address, image in sorted(found.items(), key=lambda item: shown_role(item[1]) == "labels"):
        try:
            layers.append(_layer(site, address, image, base))
        except (InputError, UnsupportedError) as error:
            problems.append(f"{address}: {error.message}")
    if not layers:
        raise RefusedError(404 if not problems else 422, problems[0] if problems else "no image is at this address")
    title = layers[0].name if len(addresses) == 1 else ", ".join(addresses)[:100]
    return neuroglancer_state(layers, title=title)


def begin_overviews(site: Site, addresses: Sequence[str]) -> None:
    """Make what a viewer asks for first, while it is still being loaded."""
    for address in addresses:
        for _, image in itertools.islice(images_at(site, address), _MOST_LAYERS):
            with suppress(VoxariumError):
                begin_overview(prepared(image, shown_axes(image), quick=True))


def images_at(site: Site, address: str) -> Iterator[tuple[str, Image]]:
    """Yield an image and its labels; or all images in a folder, or in a file of several."""
    try:
        image = site.catalogue.image(address)
    except (NotFoundError, InputError):
        entries = site.catalogue.scan(float("inf")).entries
        within = (address, f"{address}/", f"{address}::")
        for entry in entries:
            if entry.image is not None and (entry.address == address or entry.address.startswith(within[1:])):
                yield entry.address, entry.image
        return
    yield address, image
    for label in image.info.labels:
        try:
            place = f"{address}/{label}"
            yield place, site.catalogue.image(place)
        except VoxariumError:
            continue  # labels that are damaged must not hide the image


def _layer(site: Site, address: str, image: Image, base: str) -> Layer:
    axes = shown_axes(image)
    name = image.name if "::" not in address else address.rpartition("/")[2]
    known: dict[str, Any] = {"name": name, "image": image, "axes": axes}  # Any: of `Layer`
    place = quoted(_plain_address(site, address, image))
    quick = with_overviews(image, axes) is not image
    if _mixed(image, tuple(a.name for a in axes)):
        view = VIEWS["neuroglancer-channels" if quick else "precomputed"]
        served = shown(view, image)
        offset = json.loads(served.get("info") or b"{}")["scales"][0]["voxel_offset"]
        url = f"{base}/as/{view.name}/{place}"
        return Layer(**known, url=url, format="precomputed", voxel_offset=tuple(reversed(offset)))
    if _read_as_is(site, address, image):
        return Layer(**known, url=f"{base}/raw/{place}", format=image.levels[0].array.format)
    exact = image.dtype.name in SHOWN_TYPES and _measured(image) and not quick
    view = VIEWS["ome-zarr-0.5" if exact else "neuroglancer"]
    shown(view, image)  # what cannot be shown is said now
    return Layer(**known, url=f"{base}/as/{view.name}/{place}", format="zarr3")


def _plain_address(site: Site, address: str, image: Image) -> str:
    """Return the address of a file that holds only this image: where its name inside ends, nothing else tells."""
    outer = address.partition("::")[0]
    if outer == address:
        return address
    same = (
        e.image is not None and (e.image.shape, e.image.dtype) == (image.shape, image.dtype)
        for e in site.catalogue.scan(float("inf")).entries
        if e.address == outer
    )
    return outer if next(same, False) else address


def _mixed(image: Image, names: tuple[str, ...]) -> bool:
    """Tell whether an image has channels that a shader is to see together."""
    count = image.shape[names.index("c")] if names in _MIXABLE else 1
    return count > 1 and shown_role(image) == "image" and image.dtype.name in SHOWN_TYPES


def _measured(image: Image) -> bool:
    return image.info.axes_stated and all(axis.unit is not None for axis in image.axes if axis.type == "space")


def _read_as_is(site: Site, address: str, image: Image) -> bool:
    """Tell whether the released viewer reads the files of an image."""
    if "::" in address or image.info.format != "ome-zarr" or not _measured(image):
        return False
    root, _ = site.catalogue.root_of(address)
    version = image.info.spec_version or ""
    arrays = [level.array for level in image.levels]
    codecs = {codec.partition(":")[0] for array in arrays for codec in array.codecs}
    return (
        root.lister is not None
        and version.startswith(_OME_READ)
        and image.dtype.name in SHOWN_TYPES
        and arrays[0].format in ("zarr2", "zarr3")
        and codecs <= _CODECS
    )
