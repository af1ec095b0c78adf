"""Showing images in the viewer from the command line and from notebooks."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable
from html import escape
from typing import Final
from urllib.parse import urlencode

from voxarium.core.image import Image
from voxarium.errors import Code, InputError
from voxarium.serve.niivue import client_script, is_surface
from voxarium.serve.roots import Root, open_roots
from voxarium.serve.running import BackgroundServer
from voxarium.serve.site import Settings, Site
from voxarium.serve.viewer import client_folder

__all__ = ["VIEWERS", "Shown", "checked_view", "show", "view_path", "viewer_for"]

VIEWERS: Final = ("neuroglancer", "niivue")
"""What images are shown in."""

_HEIGHT: Final = 600


def viewer_for(uris: Iterable[str], viewer: str | None) -> str:
    """Return the viewer that was asked for; without any, NiiVue for surfaces and tractograms, else Neuroglancer.

    Raises
    ------
    InputError
        If there is no such viewer.
    """
    if viewer is None:
        return "niivue" if any(is_surface(uri) for uri in uris) else "neuroglancer"
    if viewer not in VIEWERS:
        raise InputError(
            f"there is no viewer {viewer!r}", code=Code.ARGUMENT_INVALID, fix=f"use one of {', '.join(VIEWERS)}"
        )
    return viewer


def checked_view(uris: Iterable[str], viewer: str = "neuroglancer") -> tuple[Root, ...]:
    """Open what is to be shown.

    Raises
    ------
    UnsupportedError
        If the viewer is not installed.
    NotFoundError, InputError
        If something is not there.
    """
    if viewer == "niivue":
        client_script()
    else:
        client_folder()
    return open_roots(uris)


def view_path(site: Site, viewer: str = "neuroglancer") -> str:
    """Return the path that shows all roots of a server."""
    page = "/niivue" if viewer == "niivue" else "/view"
    return f"{page}?{urlencode([('image', name) for name in site.catalogue.roots])}"


class Shown:
    """Images that are shown in a viewer: an address for a browser, and a frame in a notebook.

    The server runs beside the program until `close`, or until the program ends.

    Parameters
    ----------
    server : BackgroundServer
        Runs.
    height : int
        Of the frame, in pixels.
    viewer : str
        One of `VIEWERS`.
    """

    def __init__(self, server: BackgroundServer, height: int = _HEIGHT, viewer: str = "neuroglancer") -> None:
        self._server = server
        self.height = height
        self.viewer = viewer

    @property
    def url(self) -> str:
        """Address of the viewer."""
        return f"{self._server.url}{view_path(self._server.site, self.viewer)}"

    def close(self) -> None:
        """Stop the server."""
        self._server.stop()
        atexit.unregister(self.close)

    def __enter__(self) -> Shown:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<shown at {self.url}>"

    def _repr_html_(self) -> str:
        url = escape(self.url, quote=True)
        return (
            f'<iframe src="{url}" width="100%" height="{self.height}" style="border:0" allow="clipboard-write">'
            f'</iframe><p><a href="{url}" target="_blank" rel="noopener">Open in a tab of its own</a></p>'
        )


def show(
    *images: str | os.PathLike[str] | Image,
    height: int = _HEIGHT,
    viewer: str | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> Shown:
    """Show images in a viewer, over each other: labels above images. Nothing is converted.

    Parameters
    ----------
    *images : str, path or Image
        Addresses, or images that were opened from one.
    height : int
        Of the frame in a notebook, in pixels.
    viewer : str or None
        neuroglancer or niivue; None = NiiVue for surfaces and tractograms, else Neuroglancer.
    host : str
        Address of this machine to listen on.
    port : int
        0 = any free one.

    Raises
    ------
    UnsupportedError
        If the viewer is not installed.
    InputError
        If there is nothing to show.

    Examples
    --------
    >>> voxarium.show("em.ome.zarr", "cells.ome.zarr")  # doctest: +SKIP
    """
    if not images:
        raise InputError("there is no image to show", code=Code.ARGUMENT_INVALID, fix="give the address of an image")
    addresses = [_address(i) for i in images]
    chosen = viewer_for(addresses, viewer)
    if chosen == "niivue":
        client_script()
    else:
        client_folder()
    server = BackgroundServer(addresses, host=host, port=port, settings=Settings())
    server.__enter__()
    shown = Shown(server, height, chosen)
    atexit.register(shown.close)
    return shown


def _address(image: str | os.PathLike[str] | Image) -> str:
    if not isinstance(image, Image):
        return os.fspath(image)
    if "memory:" in image.store.uri or not image.store.uri:
        raise InputError(
            f"{image.name} lies in memory, where the server of the viewer does not find it",
            code=Code.ARGUMENT_INVALID,
            fix="write it to a folder, and show that",
        )
    return "/".join(p for p in (image.store.uri.rstrip("/"), image.path) if p)
