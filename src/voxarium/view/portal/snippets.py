"""Lines to copy for a layer: Python, command line, Neuroglancer, napari, Fiji and others."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from voxarium.core.image import Image
from voxarium.view.portal.facts import LayerFacts

__all__ = ["HERE", "Snippet", "code_parts", "here", "layer_snippets", "shell"]

HERE: Final = ("\ue000", "\ue001")
"""Stand around an address that is relative to the page: its script writes the whole address there."""

_PART: Final = re.compile(f"{HERE[0]}([^{HERE[0]}{HERE[1]}]*){HERE[1]}")
_CONTAINERS: Final = ("zarr2", "zarr3", "n5")
_VIEWED: Final = {"zarr2": "zarr2", "zarr3": "zarr3", "n5": "n5", "nifti": "nifti"}
_OME_VIEWED: Final = ("0.4", "0.5")  # by the released Neuroglancer (2.41)


@dataclass(frozen=True, slots=True)
class Snippet:
    """Something to copy: for which program, the text, and where to put it or what to know."""

    program: str
    text: str
    note: str = ""


def here(relative: str) -> str:
    """Return a mark for an address that is known relative to the page only."""
    return f"{HERE[0]}{relative}{HERE[1]}"


def code_parts(text: str) -> Iterator[tuple[str, str]]:
    """Yield (text, relative address or nothing) of lines to copy.

    Examples
    --------
    >>> list(code_parts(f"open({here('../em')})"))
    [('open(', ''), ('https://…/em', '../em'), (')', '')]
    """
    for i, part in enumerate(_PART.split(text)):
        if i % 2:
            yield f"https://…/{part.removeprefix('./').rpartition('../')[2]}", part
        elif part:
            yield part, ""


def layer_snippets(layer: LayerFacts, url: str, *, folder: bool = True) -> list[Snippet]:
    """Return what can be copied for an image or labels.

    Parameters
    ----------
    layer : LayerFacts
        An opened one.
    url : str
        Address of its files; of the file, where it lies inside one.
    folder : bool
        Whether that is a folder.
    """
    return [] if layer.image is None else list(_snippets(layer, layer.image, url, folder))


def _snippets(layer: LayerFacts, image: Image, url: str, folder: bool) -> Iterator[Snippet]:
    inner = image.path.partition("::")[2]
    address = f"{url}::{inner}" if inner else url
    container, convention = image.levels[0].array.format, image.info.format
    plain = folder and not inner
    yield Snippet(
        "Python",
        f"import voxarium\n\nimage = voxarium.open({_python(address)})\nprint(image)\n"
        f"plane = image[image.shape[0] // 2]  # only what is asked for is read",
        "pip install voxarium",
    )
    yield Snippet(
        "Command line",
        f"voxarium info {shell(address)}\nvoxarium view {shell(address)}\n"
        f"voxarium convert {shell(address)} {shell(_copy_name(layer))}",
    )
    viewed = _neuroglancer(url, container, convention, image.info.spec_version or "") if plain else None
    if viewed is not None:
        yield viewed
    yield _napari(layer, image, address, plain and convention == "ome-zarr")
    if plain and container in _CONTAINERS:
        yield Snippet("Fiji", url, "File ▸ Import ▸ HDF5/N5/Zarr/OME-NGFF …: paste the address, then Detect datasets")
    else:
        text = f"voxarium convert {shell(address)} {shell(_copy_name(layer, '.n5'))} --format n5-viewer"
        yield Snippet("Fiji", text, "Fiji does not read this format from an address: convert it, then open the N5")
    yield from _arrays(image, url, container, convention, plain)
    yield Snippet("Address", address)


def _neuroglancer(url: str, container: str, convention: str, version: str) -> Snippet | None:
    if convention == "precomputed":
        return Snippet("Neuroglancer", f"precomputed://{url}", "As the source of a layer")
    if container not in _VIEWED:
        return None
    shown = convention != "ome-zarr" or version.startswith(_OME_VIEWED)
    note = "As the source of a layer" if shown else f"OME-Zarr {version} needs a Neuroglancer newer than 2.41"
    return Snippet("Neuroglancer", f"{_VIEWED[container]}://{url}", note)


def _napari(layer: LayerFacts, image: Image, address: str, direct: bool) -> Snippet:
    if direct and (image.info.spec_version or "").startswith(_OME_VIEWED):
        return Snippet("napari", f"napari --plugin napari-ome-zarr {shell(address)}", "pip install napari-ome-zarr")
    level = len(image.levels) - 1
    kind = "labels" if layer.kind == "label" or layer.role == "label" else "image"
    return Snippet(
        "napari",
        f"import napari\nimport voxarium\n\nimage = voxarium.open({_python(address)})\nviewer = napari.Viewer()\n"
        f"viewer.add_{kind}(image.read(level={level}), scale=image.voxel_size({level}))\nnapari.run()",
        "The coarsest level, which fits into memory" if level else "",
    )


def _arrays(image: Image, url: str, container: str, convention: str, plain: bool) -> Iterator[Snippet]:
    if not plain:
        return
    level = "/".join(p for p in (url, image.levels[0].path) if p)
    if convention == "precomputed":
        yield _tensorstore("neuroglancer_precomputed", url)
        yield Snippet(
            "CloudVolume",
            f"from cloudvolume import CloudVolume\n\nvolume = CloudVolume({_python(f'precomputed://{url}')})",
        )
    elif container in _CONTAINERS:
        yield _tensorstore({"zarr2": "zarr"}.get(container, container), level)
    if container in ("zarr2", "zarr3"):
        yield Snippet(
            "zarr", f'import zarr\n\narray = zarr.open_array({_python(level)}, mode="r")', "pip install zarr aiohttp"
        )


def _tensorstore(driver: str, url: str) -> Snippet:
    return Snippet(
        "TensorStore",
        "import tensorstore as ts\n\n"
        f'array = ts.open({{"driver": "{driver}", "kvstore": {_python(f"{url}/")}}}).result()',
    )


def _copy_name(layer: LayerFacts, ending: str = ".ome.zarr") -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", layer.name.rpartition("/")[2]).strip("-.") or "image"
    return f"{re.sub(r'(?i)(.ome)?.(zarr|n5|h5|hdf5|tiff?|npy|nii|mrc)$', '', name) or 'image'}{ending}"


def _python(text: str) -> str:
    """Return a text as Python writes it; names in files may be made to run when somebody pastes them."""
    return json.dumps(text, ensure_ascii=not any(mark in text for mark in HERE))


def shell(text: str) -> str:
    """Return a text as a shell takes it for one word.

    Examples
    --------
    >>> shell("em; rm x"), shell("https://host/em.zarr")
    ("'em; rm x'", 'https://host/em.zarr')
    """
    marked = any(mark in text for mark in HERE)
    bare = _PART.sub(r"\1", text) if marked else text
    return shlex.quote(text) if not marked or shlex.quote(bare) != bare else text
