"""Datasets on disk: a folder with ``dataset.json``, a provenance log, and whatever belongs to one specimen.

``dataset.json`` is what counts. Beside it lies, where the layout has it, OME-Zarr's collection document: it is written
anew from ``dataset.json`` at every change and never read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from voxarium.archive.agents import default_agent, software_versions
from voxarium.archive.collection_documents import COLLECTION_FILE, collection_document, group_documents, root_document
from voxarium.archive.layouts import Facts, Layout, Place, layout_named
from voxarium.archive.provenance import record
from voxarium.archive.shared_documents import change_document
from voxarium.core.dataset import Dataset
from voxarium.core.guarding import check_published
from voxarium.core.image import Image
from voxarium.core.opening import open as open_anything
from voxarium.core.uri import open_target_store, parse_uri
from voxarium.errors import Code, ExistsError, FormatError, InputError, NotFoundError, VoxariumError
from voxarium.model.protocols import ListableStore, WritableStore
from voxarium.model.provenance import Activity
from voxarium.spec.dataset_document import (
    FILE_NAME,
    MOST_BYTES,
    DatasetDocument,
    DatasetMember,
    Link,
    dump_dataset,
    is_dataset,
    parse_dataset,
)
from voxarium.spec.provenance import Entry
from voxarium.stores.local import LocalStore

__all__ = [
    "DatasetFolder",
    "create_dataset",
    "enclosing_dataset",
    "facts_of",
    "open_dataset",
    "open_in",
    "planned_dataset",
    "thumbnail_path",
]

_MOST_ABOVE: Final = 12
_MOST_AGAIN: Final = 100
_GROUPED: Final = "ome-zarr"


def thumbnail_path(name: str) -> str:
    """Return where the picture of a member lies.

    Examples
    --------
    >>> thumbnail_path("em/fibsem-uint8")
    'thumbnails/em__fibsem-uint8.png'
    """
    return f"thumbnails/{name.replace('/', '__')}.png"


def facts_of(found: Image | Dataset) -> Facts:
    """Return what a layout wants to know of something that was opened."""
    if isinstance(found, Dataset):
        return Facts(kind="collection", format=found.info.format)
    info = found.info
    return Facts(
        kind="label" if found.role == "label" else "image",
        format=info.format,
        dtype=found.dtype.name,
        role=found.role,
        levels=tuple(level.path for level in info.levels),
    )


@dataclass(frozen=True, slots=True)
class DatasetFolder:
    """A dataset that is open to be changed.

    Parameters
    ----------
    store : WritableStore
        Its root.
    uri : str
        Its address.
    """

    store: WritableStore
    uri: str

    # ------------------------------------------------------------------------------------------------------ reading
    @property
    def document(self) -> DatasetDocument:
        """What ``dataset.json`` says now.

        Raises
        ------
        NotFoundError
            If there is none, but perhaps another program's.
        FormatError
            If it breaks the specification.
        """
        data = _document(self.store)
        if data is None:
            raise NotFoundError(
                f"{self.uri} is no dataset",
                code=Code.METADATA_MISSING,
                fix=f"make it one: voxarium dataset create {self.uri} --name NAME",
            )
        return parse_dataset(data, f"{self.uri}/{FILE_NAME}")

    @property
    def layout(self) -> Layout:
        """Rules about names and places."""
        return layout_named(self.document.layout)

    @property
    def folder(self) -> str | None:
        """Path of a local dataset; None elsewhere."""
        store = getattr(
            self.store, "inner", self.store
        )  # where there are releases, a store that keeps them is around it
        return os.fspath(store.root) if isinstance(store, LocalStore) else None

    def address(self, path: str) -> str:
        """Return the address of something in the dataset."""
        return f"{self.uri}/{path}"

    def has(self, path: str) -> bool:
        """Tell whether anything lies at a path in the dataset."""
        if self.store.stat(path) is not None:
            return True
        return isinstance(self.store, ListableStore) and any(map(len, self.store.list_dir(path)))

    def place(self, given: str, facts: Facts) -> Place:
        """Return where a member goes that somebody called `given`.

        Raises
        ------
        InputError
            If a rule of the layout forbids it.
        """
        document = self.document
        known = document.find(given)
        if known is not None:  # written by hand, or under rules that were others then: it stays where it is
            layout_named(document.layout).place(document.name, known.path, facts)
            return Place(known.name, known.path)
        return layout_named(document.layout).place(document.name, given, facts)

    # ----------------------------------------------------------------------------------------------------- changing
    def change(self, how: Callable[[DatasetDocument], DatasetDocument]) -> DatasetDocument:
        """Read the document, change it, and write it; of several at a time, none is lost.

        `how` may be called several times, when others change the document meanwhile.

        Raises
        ------
        ConflictError
            If others were faster all the time.
        """
        found: list[DatasetDocument] = []

        def changed(data: bytes | None) -> bytes | None:
            if data is None or not is_dataset(data):
                _ = self.document  # says what is wrong
            document = parse_dataset(data or b"", f"{self.uri}/{FILE_NAME}")
            found[:] = [how(document)]
            if found[0] == document:
                return None
            new = dump_dataset(found[0])
            check_published(self.store, FILE_NAME, new)
            return new

        _ = self.document  # not larger than it may be
        inner = getattr(self.store, "inner", self.store)  # as in `folder`; what is published was looked at
        change_document(inner, FILE_NAME, changed)
        self._write_collection(found[0])
        return found[0]

    def record(self, activity: Activity) -> Entry:
        """Add to the provenance log; who and with which versions is filled in where nobody said."""
        agent = activity.agent or default_agent()
        software = activity.software or software_versions("numpy", "numcodecs", "zarr")
        return record(self.uri, replace(activity, agent=agent, software=software))

    def register(
        self,
        place: Place,
        facts: Facts,
        *,
        links: Sequence[Link] = (),
        picture: bytes | None = None,
        spec_version: str = "",
    ) -> tuple[DatasetMember, tuple[str, ...]]:
        """List something that lies in the dataset as a member; what was listed of it before is kept.

        Parameters
        ----------
        place : Place
            From `place`.
        facts : Facts
            Of what lies there.
        links : sequence of Link
            More links.
        picture : bytes or None
            A PNG file.
        spec_version : str
            Of an OME-Zarr image: folders between the root and it become groups of the same kind.

        Returns
        -------
        DatasetMember, tuple of str
            The member, and what the user should know.
        """
        if picture is not None:
            self.store.put(thumbnail_path(place.name), picture)
        if facts.format == _GROUPED and spec_version:
            for key, data in group_documents(place.path, spec_version).items():
                self.store.put_if_absent(key, data)

        def changed(document: DatasetDocument) -> DatasetDocument:
            return document.with_member(_member(document, place, facts, links, picture is not None))

        document = self.change(changed)
        names = {m.name: m.kind for m in document.members}
        notes = layout_named(document.layout).notes(document.name, place, facts, names)
        return document[place.name], notes

    def _write_collection(self, document: DatasetDocument) -> None:
        """Write what is derived from the document; once more when that changed meanwhile."""
        for _ in range(_MOST_AGAIN):
            if not layout_named(document.layout).collection_document:
                return
            data = collection_document(document)
            if data != self.store.get(COLLECTION_FILE):
                self.store.put(COLLECTION_FILE, data)
            now = self.document
            if now == document:
                return
            document = now


def _member(
    document: DatasetDocument, place: Place, facts: Facts, links: Sequence[Link], pictured: bool
) -> DatasetMember:
    """Return a member as it will be listed: what people said of an earlier one stays."""
    before = document.find(place.name)
    new = DatasetMember(name=place.name, path=place.path, kind=facts.kind)  # type: ignore[arg-type]  # checked by layouts
    member = new if before is None else replace(before, path=place.path, kind=new.kind)
    known = {(k.relation, k.member) for k in links}
    kept = [k for k in member.links if (k.relation, k.member) not in known]
    found = (*kept, *links)
    if not found:
        found = tuple(_certain_links(document, place, facts.kind))
    return replace(
        member,
        role=facts.role or member.role,
        format=facts.format or member.format,
        links=tuple(found),
        thumbnail=thumbnail_path(place.name) if pictured else member.thumbnail,
    )


def _certain_links(document: DatasetDocument, place: Place, kind: str) -> Iterator[Link]:
    """Yield links that follow from where a member lies, or from there being one thing only that it can belong to."""
    if kind == "label":
        images = [m for m in document.members if m.kind == "image" and m.role != "prediction"]
        around = [m for m in images if place.path.startswith(f"{m.path}/")]
        for image in around or (images if len(images) == 1 else ()):
            yield Link(member=image.name, relation="image")
    elif kind in ("mesh", "skeleton"):
        labels = [m for m in document.members if m.kind == "label"]
        last = place.name.rpartition("/")[2]
        named = [m for m in labels if m.name.rpartition("/")[2] == last]
        if len(named) == 1:
            yield Link(member=named[0].name, relation="label")


# --------------------------------------------------------------------------------------------- creating and finding
def planned_dataset(uri: str | os.PathLike[str], document: DatasetDocument) -> DatasetFolder:
    """Return the dataset that `create_dataset` would make; nothing is written.

    Raises
    ------
    ExistsError
        If it is one already.
    InputError
        If the layout is unknown or forbids the name, or a name cannot be written.
    """
    layout_named(document.layout).check_name(document.name)
    try:
        parse_dataset(dump_dataset(document))
    except FormatError as error:
        raise InputError(error.message, code=Code.ARGUMENT_INVALID, fix="correct what was given") from error
    found = DatasetFolder(open_target_store(uri), _address(uri))
    if found.store.stat(FILE_NAME) is not None:
        raise _exists(found)
    return found


def _exists(found: DatasetFolder) -> ExistsError:
    return ExistsError(
        f"{found.uri} has a {FILE_NAME}", code=Code.TARGET_EXISTS, fix="edit it by hand, or choose another folder"
    )


def create_dataset(uri: str | os.PathLike[str], document: DatasetDocument) -> DatasetFolder:
    """Make a folder a dataset; what is in it already stays, and can be added.

    Raises
    ------
    ExistsError
        If it is one.
    InputError
        If the layout is unknown or forbids the name.
    """
    found = planned_dataset(uri, document)
    if not found.store.put_if_absent(FILE_NAME, dump_dataset(document)):
        raise _exists(found)
    if layout_named(document.layout).zarr_root:
        found.store.put_if_absent(*root_document())
    found.change(lambda d: d)
    found.record(Activity(operation="create-dataset", parameters={"name": document.name, "layout": document.layout}))
    return found


def open_dataset(uri: str | os.PathLike[str]) -> DatasetFolder:
    """Open a dataset to change it; `voxarium.open` opens its images.

    Raises
    ------
    NotFoundError
        If there is none.
    FormatError
        If its document breaks the specification.
    """
    found = DatasetFolder(open_target_store(uri), _address(uri))
    _ = found.document
    return found


def enclosing_dataset(uri: str | os.PathLike[str], *, itself: bool = False) -> tuple[DatasetFolder, str] | None:
    """Return the dataset around an address, and the path in it; None where there is none.

    `itself`: the address may also be the dataset's own; the path is then empty.

    Raises
    ------
    FormatError
        If its document breaks the specification.
    """
    where = parse_uri(uri)
    if where.inner or where.scheme in ("http", "https"):
        return None
    above, path = _address(uri), ""
    found = _dataset_at(above) if itself else None
    if found is not None:
        return found, path
    for _ in range(_MOST_ABOVE):
        above, _, name = above.rpartition("/")
        path = f"{name}/{path}" if path else name
        if not above or above.endswith(("/", ":")) or not name:
            return None
        found = _dataset_at(above)
        if found is not None:
            return found, path
    return None


def open_in(uri: str) -> Image | Dataset | None:
    """Return what is at an address, if it is an image or a collection of images."""
    try:
        return open_anything(uri)
    except VoxariumError:
        return None


def _dataset_at(folder: str) -> DatasetFolder | None:
    try:
        store = open_target_store(folder)
        data = _document(store)
    except VoxariumError:  # nothing that may be read, such as other people's folders: no dataset of ours
        return None
    if data is None:
        return None
    parse_dataset(data, f"{folder}/{FILE_NAME}")
    return DatasetFolder(store, folder)


def _document(store: WritableStore) -> bytes | None:
    """Return ``dataset.json``, if it is one of ours."""
    stat = store.stat(FILE_NAME)
    data = None if stat is None or stat.size > MOST_BYTES else store.get(FILE_NAME)
    return data if data is not None and is_dataset(data) else None


def _address(uri: str | os.PathLike[str]) -> str:
    where = parse_uri(uri)
    return os.path.abspath(where.base) if where.scheme == "file" else where.base
