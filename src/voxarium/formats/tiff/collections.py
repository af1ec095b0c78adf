"""TIFF files with several images, as collections; OME-XML that places images in a plate says so in their facts."""

from __future__ import annotations

from typing import Any, ClassVar

from voxarium.formats.tiff.files import SUFFIXES, Opened, open_any, stated
from voxarium.model.collection import CollectionInfo, Member
from voxarium.model.image import Bag, SourceRecord
from voxarium.model.protocols import ReadableStore
from voxarium.model.sources import declined
from voxarium.spec.ome_xml import RECORD

__all__ = ["TiffCollectionDriver"]


class TiffCollectionDriver:
    """Lists the images of a TIFF file that has several, without parsing the pages of any."""

    name: ClassVar[str] = "tiff"
    spec_url: ClassVar[str] = "https://docs.openmicroscopy.org/ome-model/latest/ome-tiff/"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES

    def open(self, store: ReadableStore, path: str, /) -> CollectionInfo:
        """List the images of a file.

        Raises
        ------
        NotFoundError
            If this is no TIFF file, or has one image only.
        FormatError
            If it is broken.
        """
        if not path.lower().endswith(SUFFIXES):
            raise declined(self.name, store, path)
        opened = open_any(self.name, store, path)
        if len(opened.images) == 1:
            raise declined(self.name, store, path)
        records = []
        if opened.raw is not None:
            records.append(SourceRecord(format=RECORD, header=opened.raw))
        found = stated(opened)
        if found:
            records.append(SourceRecord(format=self.name, metadata=found))
        return CollectionInfo(
            format=self.name,
            kind="series",
            members=tuple(_member(opened, i) for i in range(len(opened.images))),
            name=path.rpartition("/")[2],
            bag=Bag(records=tuple(records)),
        )


def _member(opened: Opened, number: int) -> Member:
    series = opened.images[number]
    facts: dict[str, Any] = {"series": number, "shape": list(series.shape), "axes": series.letters.lower()}
    ome = opened.described(number)
    if ome is not None and ome.well is not None:
        well = ome.well
        facts |= {"plate": well.plate, "row": well.row, "column": well.column, "field": well.field}
    return Member(path=f"::/{number}", name=series.name, facts=facts)
