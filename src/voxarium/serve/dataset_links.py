"""Where things are on the live server, seen from the page of a dataset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final
from urllib.parse import urlencode

from voxarium.errors import UnsupportedError, VoxariumError
from voxarium.serve.addresses import quoted
from voxarium.serve.roots import Root
from voxarium.serve.snippets import raw_url, snippets
from voxarium.serve.viewer import client_folder
from voxarium.view.portal.facts import DatasetFacts, LayerFacts
from voxarium.view.portal.snippets import Snippet, layer_snippets

__all__ = ["LiveLinks"]

_SAME: Final = {"URL": "Address", "Voxarium": "Python", "zarr-python": "zarr"}  # programs by their names on pages
_MOST_VIEWED: Final = 12


@cache
def _has_viewer() -> bool:
    try:
        client_folder()
    except UnsupportedError:
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveLinks:
    """Links of a page.

    Parameters
    ----------
    up : str
        From the page to the top: ``../../``.
    version : callable
        Returns the version of a file that pages need, so that browsers may keep it.
    base : str
        Address of the server, for other programs.
    facts, root
        The dataset, and where it is; None for the catalogue.
    """

    up: str
    version: Callable[[str], str]
    base: str = ""
    facts: DatasetFacts | None = None
    root: Root | None = None

    def asset(self, name: str) -> str:
        """Return the address of a file that pages need."""
        return f"{self.up}assets/{name}?v={self.version(name)}"

    def catalogue(self) -> str:
        """Return the address of the catalogue."""
        return self.up or "./"

    def cover(self) -> str:
        """Return the address of the picture of the dataset."""
        if self.facts is None or self.facts.main is None:
            return ""
        return f"{self.up}cover/{quoted(self.facts.address)}?size=512"

    def picture(self, layer: LayerFacts) -> str:
        """Return the address of the picture of a layer."""
        return f"{self.up}thumbnail/{quoted(self._address(layer.path))}?size=128" if layer.image is not None else ""

    def _address(self, path: str) -> str:
        address = "" if self.facts is None else self.facts.address
        return f"{address}{path}" if path.startswith("::") or not path else f"{address}/{path}"

    def files(self, path: str) -> str:
        """Return where what lies at a path of the dataset can be looked at."""
        if self.root is None:
            return ""
        url = raw_url(self.up.rstrip("/") or ".", self._address(path))
        named = path.rstrip("/").rpartition("/")[2]
        whole = "::" in self._address(path) or self.root.lister is None
        is_object = whole or named.endswith((".json", ".html", ".parquet")) or self._is_file(path)
        return url.rstrip("/") + ("" if is_object else "/")

    def _is_file(self, path: str) -> bool:
        """Tell whether a layer, or the dataset itself, is a file."""
        layers = () if self.facts is None else self.facts.layers
        images = [layer.image for layer in layers if layer.image is not None and layer.path == path]
        if not images or self.root is None:
            return False
        try:
            return self.root.store.stat(images[0].path) is not None if images[0].path else False
        except VoxariumError:  # a link that leads to a listing instead does no harm
            return False

    def data_url(self, path: str) -> str:
        """Return the whole address of what lies at a path of the dataset."""
        return raw_url(self.base, self._address(path))

    def view(self, layers: Sequence[LayerFacts], position: Sequence[float] | None = None) -> str:
        """Return the address of the viewer with some layers; empty where it is not installed."""
        shown = [("image", self._address(layer.path)) for layer in layers if layer.image is not None][:_MOST_VIEWED]
        if not shown or not _has_viewer():
            return ""
        where = [] if position is None else [("position", ",".join(f"{v:.9g}" for v in position))]
        return f"{self.up}view?{urlencode([*shown, *where])}"

    def snippets(self, layer: LayerFacts) -> list[Snippet]:
        """Return what can be copied for a layer: of its files, and of what the server translates."""
        if layer.image is None:
            return []
        address = self._address(layer.path)
        url = raw_url(self.base, address)
        found = layer_snippets(layer, url, folder="::" not in address and self._is_folder(layer))
        known = {s.program for s in found}
        for more in snippets(layer.image, address, self.base):
            program = _SAME.get(more.program, more.program)
            if program not in known:
                known.add(program)
                found.append(Snippet(program, more.text, more.note[:1].upper() + more.note[1:]))
        return sorted(found, key=lambda s: s.program == "Address")

    def _is_folder(self, layer: LayerFacts) -> bool:
        return self.root is not None and self.root.lister is not None and not self._is_file(layer.path)
