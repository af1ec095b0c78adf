"""The files of one dataset in a portal: its page, its pictures, its report of validation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from voxarium.errors import VoxariumError
from voxarium.model.protocols import ReadableStore
from voxarium.spec.neuroglancer_state import dump_link
from voxarium.view.neuroglancer_state import SHOWN_TYPES, Layer, moved, neuroglancer_state
from voxarium.view.portal.catalogue import Summary, summary_of
from voxarium.view.portal.facts import DatasetFacts, LayerFacts
from voxarium.view.portal.gathering import joined
from voxarium.view.portal.pages import Extras, SiteFacts, dataset_html
from voxarium.view.portal.pictures import as_webp, cover_png, curated_cover, layer_png, stored_picture
from voxarium.view.portal.snippets import Snippet, here, layer_snippets

__all__ = ["DataPlace", "StaticLinks", "dataset_files"]

_CODECS: Final = frozenset({"bytes", "blosc", "gzip", "zstd", "crc32c", "transpose", "sharding_indexed"})
_FOLDERS: Final = frozenset({"zarr2", "zarr3", "n5", "wkw", "precomputed-scale"})
_NOWHERE: Final = "ADDRESS-OF-THE-DATA"
_NOTE: Final = (
    "Where the data lie was not said when this page was made. Put their address in the place of ADDRESS-OF-THE-DATA."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPlace:
    """A root of a portal, and where others find it.

    Parameters
    ----------
    store, root : ReadableStore, str
        Where it is.
    name : str
        Begins addresses where there are several roots.
    alone : bool
        Whether it is the only one.
    folder : bool
        Whether it is a folder; else a file.
    url : str
        Whole address of the root; empty if nobody said.
    relative : str
        Address of the root seen from the portal; empty if it has none.
    """

    store: ReadableStore
    root: str
    name: str
    alone: bool
    folder: bool
    url: str = ""
    relative: str = ""

    def address(self, path: str) -> str:
        """Return the address of a dataset at a path of the store."""
        below = path.removeprefix(self.root).lstrip("/") if self.root else path
        if not below:
            return self.name
        return below if self.alone and not below.startswith("::") else f"{self.name}{joined('', below) and _sep(below)}"

    def located(self, path: str, up: str) -> str:
        """Return where what lies at a path of the store is, seen from a page `up` below the portal; or empty."""
        inside = path.partition("::")[0]
        below = quote(inside.removeprefix(self.root if self.folder else "").strip("/"), safe="/")
        if self.url:
            return "/".join(p for p in (self.url, below) if p)
        if not self.relative:
            return ""
        start = up if self.relative == "." else f"{up}{self.relative}/"
        return f"{start}{below}" or "."


def _sep(below: str) -> str:
    return below if below.startswith("::") else f"/{below}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticLinks:
    """Where things are, seen from a page of a portal.

    Parameters
    ----------
    up : str
        From the page to the portal: ``../../``.
    facts, place
        The dataset, and where its data are; None for the catalogue.
    pictures : mapping
        By path of a layer, its picture beside the page; the cover under an empty path and a slash.
    viewer : str
        Address of a Neuroglancer.
    """

    up: str = ""
    facts: DatasetFacts | None = None
    place: DataPlace | None = None
    pictures: Mapping[str, str] = field(default_factory=dict)
    viewer: str = ""

    @classmethod
    def of_catalogue(cls) -> StaticLinks:
        """Return the links of the catalogue."""
        return cls()

    def asset(self, name: str) -> str:
        """Return the address of a file that pages need."""
        return f"{self.up}assets/{name}"

    def catalogue(self) -> str:
        """Return the address of the catalogue."""
        return f"{self.up}index.html"

    def cover(self) -> str:
        """Return the address of the picture of the dataset."""
        return self.pictures.get("/", "")

    def picture(self, layer: LayerFacts) -> str:
        """Return the address of the picture of a layer."""
        return self.pictures.get(layer.path, "")

    def files(self, path: str) -> str:
        """Return where an object of the dataset is; folders have no page on a static host."""
        if not path.endswith((".json", ".html")):
            return ""
        return self._located(path)

    def data_url(self, path: str) -> str:
        """Return the whole address of what lies at a path of the dataset."""
        found = self._located(path)
        if self.place is not None and found:
            return found if self.place.url else here(found)
        address = "" if self.facts is None else self.facts.address
        return "/".join(p for p in (_NOWHERE, quote(joined(address, path).partition("::")[0], safe="/")) if p)

    def _located(self, path: str) -> str:
        if self.facts is None or self.place is None:
            return ""
        return self.place.located(joined(self.facts.path, path), self.up)

    def view(self, layers: Sequence[LayerFacts], position: Sequence[float] | None = None) -> str:
        """Return the address of a viewer that reads the files itself; empty where it cannot."""
        if self.place is None or not self.place.url or not self.viewer:
            return ""
        shown = [v for layer in layers if (v := self._viewed(layer)) is not None]
        if not shown:
            return ""
        try:
            state = neuroglancer_state(shown, title="" if self.facts is None else self.facts.title)
        except VoxariumError:
            return ""
        return dump_link(state if position is None else moved(state, position), self.viewer)

    def _viewed(self, layer: LayerFacts) -> Layer | None:
        image = layer.image
        if image is None or "::" in image.path or image.dtype.name not in SHOWN_TYPES or len(image.levels) == 0:
            return None
        container, convention = image.levels[0].array.format, image.info.format
        if convention == "precomputed":
            format = "precomputed"
        elif convention == "ome-zarr" and container in ("zarr2", "zarr3") and _read_as_is(image):
            format = container
        else:
            return None
        return Layer(
            name=layer.name or image.name, image=image, url=self._located(layer.path), format=format, axes=image.axes
        )

    def snippets(self, layer: LayerFacts) -> list[Snippet]:
        """Return what can be copied for a layer."""
        whole = self.facts is not None and layer.image is not None and "::" in layer.image.path
        return layer_snippets(layer, self.data_url(layer.path), folder=not whole and _is_folder(layer))


def _read_as_is(image: Any) -> bool:  # Any: an image
    codecs = {codec.partition(":")[0] for level in image.levels for codec in level.array.codecs}
    version = image.info.spec_version or ""
    measured = all(axis.unit is not None for axis in image.axes if axis.type == "space")
    return version.startswith(("0.4", "0.5")) and codecs <= _CODECS and measured


def _is_folder(layer: LayerFacts) -> bool:
    image = layer.image
    return image is not None and image.levels[0].array.format in _FOLDERS


# ------------------------------------------------------------------------------------------------------------ writing
def dataset_files(
    site: SiteFacts, facts: DatasetFacts, place: DataPlace, slug: str, *, validate: bool, viewer: str
) -> tuple[Summary, list[tuple[str, bytes]]]:
    """Return the line of a dataset in the index, and its files by name."""
    files: list[tuple[str, bytes]] = []
    pictures = dict(_pictures(facts, place, files))
    up = "../" * (slug.count("/") + 2)
    links = StaticLinks(up=up, facts=facts, place=place, pictures=pictures, viewer=viewer)
    cover = f"datasets/{slug}/{pictures['/']}" if "/" in pictures else ""
    summary = summary_of(facts, f"datasets/{slug}/index.html", cover)
    extras = _extras(facts, place, links, files, validate)
    page = dataset_html(site, links, facts, summary, extras)
    return summary, [("index.html", page.encode()), *files]


def _pictures(facts: DatasetFacts, place: DataPlace, files: list[tuple[str, bytes]]) -> Iterator[tuple[str, str]]:
    """Yield (path of a layer, or a slash for the cover; name of its picture), and add the pictures to the files."""

    def kept(name: str, found: tuple[bytes, str] | None) -> str:
        if found is None:
            return ""
        files.append((f"{name}.{found[1]}", found[0]))
        return f"{name}.{found[1]}"

    cover = curated_cover(place.store, facts)
    if cover is None:
        stated = "" if facts.document is None else facts.document.thumbnail
        png = cover_png(facts)
        cover = as_webp(png) if png else stored_picture(place.store, facts.path, stated)
    if name := kept("cover", cover):
        yield "/", name
    for number, layer in enumerate(facts.layers, 1):
        png = layer_png(layer)
        found = (as_webp(png) if png else None) or stored_picture(place.store, facts.path, layer.thumbnail)
        if name := kept(f"layer-{number}", found):
            yield layer.path, name


def _extras(
    facts: DatasetFacts, place: DataPlace, links: StaticLinks, files: list[tuple[str, bytes]], validate: bool
) -> Extras:
    from voxarium.view.portal.checking import check_dataset, stored_summary

    reports = [(f"Report {name}", href) for name in facts.reports if (href := links.files(name))]
    summary: Mapping[str, Any] | None = stored_summary(place.store, facts)
    if validate:
        checked = check_dataset(place.store, facts)
        if checked is not None:
            files.append(("validation.html", checked.page.encode()))
            summary = checked.summary
            reports = [("The whole report", "validation.html"), *reports]
    note = "" if place.url or place.relative else _NOTE
    return Extras(reports=reports, validation=summary, data_note=note)
