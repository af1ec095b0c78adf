"""What the pages say of a dataset, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from voxarium.core.image import Image
from voxarium.spec.dataset_document import DatasetDocument
from voxarium.spec.release import Release
from voxarium.view.portal.words import axes_text, nanometres, times, voxel_text

__all__ = ["DatasetFacts", "History", "LayerFacts", "PublishedRelease", "Step"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFacts:
    """One thing in a dataset: an image, labels, meshes …

    Parameters
    ----------
    name : str
        In the dataset; empty where the dataset is the image.
    path : str
        Seen from the dataset; begins with ``::`` inside a file.
    kind, role, format, description, system, thumbnail
        As the dataset says, else as found.
    links : tuple of (str, str)
        What another layer is to it, and the name of that layer.
    listed : bool
        Whether the dataset's document lists it.
    image : Image or None
        Where it could be opened.
    problem : str
        Why it could not, in a word or two; says nothing of the machine.
    """

    name: str
    path: str
    kind: str
    role: str = ""
    format: str = ""
    description: str = ""
    system: str = ""
    thumbnail: str = ""
    links: tuple[tuple[str, str], ...] = ()
    listed: bool = True
    image: Image | None = None
    problem: str = ""

    @property
    def spec_version(self) -> str:
        """Of its format."""
        return "" if self.image is None else self.image.info.spec_version or ""

    @property
    def shape_text(self) -> str:
        """Voxels along each axis."""
        return "" if self.image is None else times(self.image.shape)

    @property
    def axes_text(self) -> str:
        """Names of the axes."""
        return "" if self.image is None else axes_text([a.name for a in self.image.axes])

    @property
    def voxel_text(self) -> str:
        """Size of a voxel."""
        return "" if self.image is None else voxel_text(self.image)

    @property
    def voxel_nm(self) -> tuple[float, ...] | None:
        """Size of a voxel in nanometres, where it is stated."""
        return None if self.image is None else nanometres(self.image)

    @property
    def nbytes(self) -> int:
        """Bytes of level 0, decoded."""
        return 0 if self.image is None else self.image.level(0).nbytes

    @property
    def is_raster(self) -> bool:
        """Whether it is an image or labels that could be opened."""
        return self.image is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRelease:
    """A release, the key and digest of its document, and why it was withdrawn, if it was."""

    release: Release
    key: str
    digest: str
    withdrawn: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One entry of the provenance log, as the timeline shows it."""

    sequence: int
    time: str
    operation: str
    meaning: str = ""
    agent: str = ""
    agent_link: str = ""
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    note: str = ""
    software: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Releases and provenance, the newest first; `more` entries of the log are not among `steps`."""

    releases: tuple[PublishedRelease, ...] = ()
    steps: tuple[Step, ...] = ()
    more: int = 0
    problems: tuple[str, ...] = ()

    @property
    def current(self) -> PublishedRelease | None:
        """The newest release that was not withdrawn."""
        return next((r for r in self.releases if not r.withdrawn), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFacts:
    """Everything that is known of a dataset.

    Parameters
    ----------
    address : str
        Name in addresses of pages: of the root, and what follows.
    path : str
        In its store.
    document : DatasetDocument or None
        What ``dataset.json`` says; None where an image or a file stands for itself.
    title : str
        For people.
    layers : tuple of LayerFacts
        Images first, then labels, then the rest.
    history : History
        Releases and provenance.
    reports : tuple of str
        Paths of reports of validation that lie in the dataset.
    problem : str
        What is wrong with ``dataset.json``.
    """

    address: str
    path: str
    title: str
    document: DatasetDocument | None = None
    layers: tuple[LayerFacts, ...] = ()
    history: History = field(default_factory=History)
    reports: tuple[str, ...] = ()
    problem: str = ""

    @property
    def rasters(self) -> Sequence[LayerFacts]:
        """Layers that are images or labels."""
        return [layer for layer in self.layers if layer.is_raster]

    @property
    def main(self) -> LayerFacts | None:
        """The layer that stands for the dataset: its largest image, or its first labels."""
        images = [layer for layer in self.rasters if layer.role == "intensity"] or self.rasters
        return max(images, key=lambda layer: layer.nbytes, default=None)

    @property
    def overlay(self) -> LayerFacts | None:
        """The labels that are drawn over the main image: those linked to it, else the largest."""
        main = self.main
        if main is None or main.role != "intensity":
            return None
        labels = [layer for layer in self.rasters if layer.role == "label"]
        near = [layer for layer in labels if (("image", main.name) in layer.links)] or labels
        return max(near, key=lambda layer: layer.nbytes, default=None)

    @property
    def organisms(self) -> tuple[str, ...]:
        """Species, as stated."""
        return self._specimen("organism", "organisms", "species", "taxon")

    @property
    def modalities(self) -> tuple[str, ...]:
        """How it was imaged: as stated, else by the folders that the layout ``cellmap`` keeps for each."""
        stated = self._specimen("modality", "modalities", "imaging", "technique")
        if stated or self.document is None:
            return stated
        names = [layer.name for layer in self.layers]
        known = (("EM", "em/"), ("LM", "lm/"))
        return tuple(text for text, start in known if any(n.startswith(start) for n in names))

    @property
    def formats(self) -> tuple[str, ...]:
        """Formats of the layers."""
        return tuple(sorted({layer.format for layer in self.layers if layer.format}))

    @property
    def nbytes(self) -> int:
        """Bytes of all images and labels, decoded, without coarser levels."""
        return sum(layer.nbytes for layer in self.layers)

    @property
    def dois(self) -> tuple[str, ...]:
        """DOIs: of the releases that are there, and those that the document states."""
        found = []
        for published in self.history.releases:
            if not published.withdrawn:
                found += [published.release.concept_doi, published.release.doi]
        stated = () if self.document is None else self.document.identifiers
        return tuple(dict.fromkeys(i for i in (*found, *stated) if i))

    def _specimen(self, *keys: str) -> tuple[str, ...]:
        if self.document is None:
            return ()
        for source in (self.document.specimen, self.document.extra):
            for key in keys:
                found = _texts(source.get(key))
                if found:
                    return found
        return ()


def _texts(value: Any) -> tuple[str, ...]:  # Any: JSON
    """Return what a value says: a text, texts, or the names of objects."""
    items = value if isinstance(value, list) else [value]
    names = (i.get("name", i.get("modality")) if isinstance(i, dict) else i for i in items[:20])
    return tuple(dict.fromkeys(n.strip()[:100] for n in names if isinstance(n, str) and n.strip()))
