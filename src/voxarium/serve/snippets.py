"""Addresses of an image for other programs, and lines to copy."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from voxarium.core.image import Image
from voxarium.serve.addresses import quoted
from voxarium.serve.webknossos_datasets import dataset_page

__all__ = ["Snippet", "raw_url", "snippets"]

_TENSORSTORE: Final = {"zarr2": "zarr", "zarr3": "zarr3", "n5": "n5"}
_NEUROGLANCER: Final = {"zarr2": "zarr2", "zarr3": "zarr3", "n5": "n5", "nifti": "nifti"}
# What the released Neuroglancer (2.41) reads of OME-Zarr.
_OME_SHOWN: Final = ("0.4", "0.5")


@dataclass(frozen=True, slots=True)
class Snippet:
    """Something to copy.

    Parameters
    ----------
    program : str
        What takes it.
    text : str
        A URL, or lines of code.
    note : str
        Where to put it, or what to know.
    """

    program: str
    text: str
    note: str = ""


def raw_url(base: str, address: str) -> str:
    """Return the URL of the files of an image; what follows ``::`` is not part of it."""
    return f"{base}/raw/{quoted(address.partition('::')[0])}"


def snippets(image: Image, address: str, base: str) -> list[Snippet]:
    """Return what can be copied for an image at an address of the server at `base`."""
    return list(_snippets(image, address, base))


def _snippets(image: Image, address: str, base: str) -> Iterator[Snippet]:
    url = raw_url(base, address)
    inner = address.partition("::")[2]
    container = image.levels[0].array.format
    convention = image.info.format
    yield Snippet("URL", url)
    shown = [] if inner else list(_neuroglancer(image, url, container, convention))
    yield from shown
    if not shown or image.info.spec_version == "0.6":
        translated = f"precomputed://{base}/as/precomputed/{quoted(address)}"
        yield Snippet("Neuroglancer", translated, "as the source of a layer; translated by the server")
    yield Snippet("Voxarium", f"import voxarium\nimage = voxarium.open({_python(f'{url}::{inner}' if inner else url)})")
    page = f"{base}{dataset_page(address)}"
    yield Snippet("WEBKNOSSOS", f"import webknossos as wk\ndataset = wk.RemoteDataset.open({_python(page)})")
    level = "/".join(p for p in (url, quoted(image.levels[0].path)) if p)
    if not inner and container in _TENSORSTORE:
        driver = _TENSORSTORE[container]
        yield Snippet(
            "TensorStore",
            f'import tensorstore as ts\narray = ts.open({{"driver": "{driver}", "kvstore": "{level}/"}}).result()',
        )
    if not inner and convention == "precomputed":
        text = f'{{"driver": "neuroglancer_precomputed", "kvstore": "{url}/"}}'
        yield Snippet("TensorStore", f"import tensorstore as ts\narray = ts.open({text}).result()")
        yield Snippet(
            "CloudVolume", f'from cloudvolume import CloudVolume\nvolume = CloudVolume("precomputed://{url}")'
        )
    if inner or container not in _TENSORSTORE:
        there = f"{base}/as/ome-zarr-0.5/{quoted(address)}/s0"
        text = f'{{"driver": "zarr3", "kvstore": "{there}/"}}'
        there = _unchained(there)
        yield Snippet("TensorStore", f"import tensorstore as ts\narray = ts.open({text}).result()", "translated")
        yield Snippet(
            "zarr-python", f'import zarr\narray = zarr.open_array("{there}", mode="r")', "translated; needs aiohttp"
        )
    if not inner and container in ("zarr2", "zarr3"):
        yield Snippet("zarr-python", f'import zarr\narray = zarr.open_array("{level}", mode="r")', "needs aiohttp")
    yield from _programs(image, address, base)


def _programs(image: Image, address: str, base: str) -> Iterator[Snippet]:
    """Yield what programs with windows take: the files where they read them, else a translation."""
    direct = "::" not in address
    known = direct and image.info.format == "ome-zarr" and (image.info.spec_version or "").startswith(_OME_SHOWN)
    files, note = raw_url(base, address), "" if known else "translated; "
    ome = files if known else _unchained(f"{base}/as/ome-zarr-0.5/{quoted(address)}")
    yield Snippet("napari", f"napari --plugin napari-ome-zarr {shlex.quote(ome)}", f"{note}needs napari-ome-zarr")
    fiji = direct and image.levels[0].array.format in ("zarr2", "zarr3", "n5")
    shown = files if fiji else _unchained(f"{base}/as/ome-zarr-0.4/{quoted(address)}")
    yield Snippet("Fiji", shown, f"{'' if fiji else 'translated; '}File ▸ Import ▸ HDF5/N5/Zarr/OME-NGFF …")
    older = known and (image.info.spec_version or "").startswith("0.4")
    source = files if older else _unchained(f"{base}/as/ome-zarr-0.4/{quoted(address)}")
    yield Snippet("vizarr", source, f"{'' if older else 'translated; '}behind ?source= of its address")
    yield Snippet("NiiVue", f"{base}/niivue/{quoted(address)}", "in a browser")


def _unchained(url: str) -> str:
    """Return an address in which fsspec sees no chain of addresses."""
    return url.replace("::", "%3A%3A")


def _python(text: str) -> str:
    """Return a text as Python writes it; names in files may be made to run when somebody pastes them."""
    return json.dumps(text)


def _neuroglancer(image: Image, url: str, container: str, convention: str) -> Iterator[Snippet]:
    if convention == "precomputed":
        yield Snippet("Neuroglancer", f"precomputed://{url}", "as the source of a layer")
    elif container in _NEUROGLANCER:
        version = image.info.spec_version or ""
        shown = convention != "ome-zarr" or version.startswith(_OME_SHOWN)
        note = "as the source of a layer" if shown else f"OME-Zarr {version} needs a Neuroglancer newer than 2.41"
        yield Snippet("Neuroglancer", f"{_NEUROGLANCER[container]}://{url}", note)
