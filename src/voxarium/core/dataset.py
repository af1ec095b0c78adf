"""Everything about one specimen: images that a document lists, or that were found together in one folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from voxarium.core.image import Image
from voxarium.errors import Code, NotFoundError, VoxariumError
from voxarium.model.collection import CollectionInfo, Member
from voxarium.model.protocols import ReadableStore

__all__ = ["Dataset", "names_text"]

_KEPT: Final = 256  # opened members that are kept at hand

Opener: TypeAlias = "Callable[[Member], Image | Dataset]"


def names_text(names: Sequence[str], most: int = 5) -> str:
    """Return the first few names, and how many more there are.

    Examples
    --------
    >>> names_text(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"


class Dataset:
    """Images that belong together: a plate, a well, the series of a file, a collection, a folder.

    Members are opened when they are asked for. A key is the path of a member, its name where only one has it, or a
    path through a member: ``plate["A/1/0"]`` is the first image of a well.

    Parameters
    ----------
    store : ReadableStore
        Where it is.
    path : str
        Its path in the store.
    info : CollectionInfo
        What is known without opening any member.
    opener : callable
        Opens a member: an Image, or a Dataset for members that are collections.
    opened : mapping of str to Image
        Members that were opened to find out what they are, by key.
    problems : mapping of str to VoxariumError
        By path below the dataset, why other things in the folder did not open.
    """

    def __init__(
        self,
        store: ReadableStore,
        path: str,
        info: CollectionInfo,
        opener: Opener,
        *,
        opened: Mapping[str, Image] | None = None,
        problems: Mapping[str, VoxariumError] | None = None,
    ) -> None:
        self.store = store
        self.path = path
        self.info = info
        self.problems = dict(problems or {})
        self._opener = opener
        self._opened: dict[str, Image | Dataset] = dict(opened or {})
        self._kept = max(_KEPT, len(self._opened))
        self._places: dict[str, int] | None = None

    @classmethod
    def remote_open(
        cls, uri: str, name: str | None = None, *, token: str | None = None, kind: str = "webknossos", **options: Any
    ) -> Any:  # Any: the face of that kind of server, such as `voxarium.interop.webknossos.RemoteDataset`
        """Open a dataset of a server by the address of its page, to read it in the words of the server's scripts.

        Parameters
        ----------
        uri : str
            Such as ``https://host/datasets/NAME-ID/view``; or the address of the server, with `name`.
        name : str or None
            Of the dataset.
        token : str or None
            Sent to that server only.
        kind : str
            Of the server.
        **options
            See `voxarium.interop.webknossos.WebknossosServers.open`.

        Examples
        --------
        ``Dataset.remote_open(url, token=token).get_color_layer().get_mag(1).read((0, 0, 0), (64, 64, 64))``
        """
        from voxarium.core.registry import server_driver

        return server_driver(kind).open(uri, name, token=token, **options)

    @property
    def name(self) -> str:
        """Name, as stated, or the last part of the address."""
        where = f"{self.store.uri}/{self.path.split('::')[0]}"
        return self.info.name or where.rstrip("/").rsplit("/", 1)[-1]

    @property
    def kind(self) -> str:
        """What it is: plate, well, series, collection or folder."""
        return self.info.kind

    @property
    def members(self) -> Sequence[Member]:
        """What is in it, by name; nothing is opened."""
        return self.info.members

    def keys(self) -> list[str]:
        """Return the paths of the members, seen from the dataset."""
        return [m.path for m in self.members]

    def opened(self, key: str) -> Image | Dataset | None:
        """Return a member that is open already; None when it is not."""
        return self._opened.get(key)

    def iter_images(self) -> Iterator[tuple[str, Image]]:
        """Yield (key, image) of every image, also in collections inside; those that do not open go to `problems`."""
        for member in self.members:
            try:
                found = self._member(member)
            except VoxariumError:
                continue
            if isinstance(found, Image):
                yield member.path, found
                continue
            for key, image in found.iter_images():
                yield f"{member.path}{'' if key.startswith('::') else '/'}{key}", image
            self.problems |= {f"{member.path}/{key}": error for key, error in found.problems.items()}

    def _member(self, member: Member) -> Image | Dataset:
        found = self._opened.get(member.path)
        if found is not None:
            return found
        try:
            found = self._opener(member)
        except VoxariumError as error:
            self.problems[member.path] = error
            raise
        self.problems.pop(member.path, None)
        while len(self._opened) >= self._kept:
            del self._opened[next(iter(self._opened))]
        self._opened[member.path] = found
        return found

    def _place(self, key: str) -> int | None:
        """Return which member has a path, or alone has a name."""
        if self._places is None:
            names: dict[str, int] = {}
            for i, member in enumerate(self.members):
                names[member.name] = -1 if member.name in names else i
            self._places = names | {m.path: i for i, m in reversed(list(enumerate(self.members)))}
        place = self._places.get(key, -1)
        return None if place < 0 else place

    def __getitem__(self, key: str) -> Image | Dataset:
        place = self._place(key)
        if place is not None:
            return self._member(self.members[place])
        parts = key.split("/")
        for i in range(len(parts) - 1, 0, -1):
            place = self._place("/".join(parts[:i]))
            if place is not None and self.members[place].kind == "collection":
                return self._through(self.members[place], "/".join(parts[i:]))
        raise NotFoundError(
            f"{self.name} has no image {key!r}",
            code=Code.PATH_MISSING,
            fix=f"choose one of {names_text(self.keys(), 10)}" if self.members else "nothing is in it",
        )

    def _through(self, member: Member, rest: str) -> Image | Dataset:
        """Return a member of a member; of a plate without asking the well about it first."""
        direct = f"{member.path}/{rest}"
        if self.kind == "plate":
            with contextlib.suppress(NotFoundError):
                return self._member(Member(path=direct))
            self.problems.pop(direct, None)
        inner = self._member(member)
        if isinstance(inner, Dataset):
            return inner[rest]
        raise NotFoundError(
            f"{member.path} of {self.name} is an image, and has nothing {rest!r} in it",
            code=Code.PATH_MISSING,
            fix=f"use {member.path}",
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._place(key) is not None

    def __len__(self) -> int:
        return len(self.members)

    def __repr__(self) -> str:
        from voxarium.core.report import dataset_text

        return dataset_text(self)

    def _repr_html_(self) -> str:
        from voxarium.core.report import dataset_html

        return dataset_html(self)
