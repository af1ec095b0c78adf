"""Finding datasets in HDF5 files without leaving the folder they are in.

Links are followed by hand. External raw files are refused, and so are virtual datasets whose sources are
elsewhere or absent: HDF5 itself would read any file, or silently show fill values.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

from voxarium.errors import Code, FormatError, NotFoundError, UnsupportedError, VoxariumError
from voxarium.model.protocols import FileStore, ReadableStore
from voxarium.model.sources import missing_extra, place, truncated

__all__ = [
    "HEAD",
    "below",
    "check_storage",
    "datasets_below",
    "find",
    "has_signature",
    "local_name",
    "open_file",
    "translated",
]

HEAD: Final = 2056
_SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
_SIGNATURE_PLACES: Final = (0, 512, 1024, 2048)  # behind a user block of any of these sizes
_MOST_HOPS: Final = 32
_MOST_NODES: Final = 20_000
_MOST_LISTED: Final = 25
_CHUNK_CACHE: Final = 16 << 20


@contextlib.contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn what h5py raises into our errors."""
    try:
        yield
    except VoxariumError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        # h5py reports corrupt metadata with any of these.
        text = str(error)
        if "truncated file" in text:
            raise truncated(where, None, None) from error
        if "unable to lock file" in text:
            raise FormatError(
                f"{where} is being written by another program",
                code=Code.STORE_UNREADABLE,
                fix="close the other program, or copy the file and open the copy",
            ) from error
        raise FormatError(
            f"{where} cannot be read by the HDF5 library: {text[:300]}",
            code=Code.METADATA_INVALID,
            fix="check the file with h5ls or h5dump; copy it again from its source if it is damaged",
        ) from error


# -------------------------------------------------------------------------------------------- files and links
def local_name(store: ReadableStore, key: str) -> str | None:
    """Return the path of a file on this machine, if it has one."""
    return store.local_path(key) if isinstance(store, FileStore) else None


def open_file(store: ReadableStore, key: str) -> Any:  # Any: h5py is untyped
    """Return the open file; UnsupportedError without h5py, or where the store cannot present files."""
    try:
        import h5py
    except ImportError as error:
        raise missing_extra("hdf5", f"{place(store, key)} is HDF5") from error
    options = {"rdcc_nbytes": _CHUNK_CACHE, "rdcc_w0": 1.0}
    if not isinstance(store, FileStore):
        raise UnsupportedError(
            f"HDF5 files cannot be opened in {store.uri}",
            code=Code.FEATURE_UNSUPPORTED,
            fix="copy the file to this machine first",
        )
    local = store.local_path(key)
    with translated(place(store, key)):
        if local is not None:
            return h5py.File(local, "r", locking="best-effort", **options)
        return h5py.File(store.open_file(key), "r", **options)


def find(store: ReadableStore, key: str, name: str) -> tuple[str, Any]:  # Any: h5py is untyped
    """Walk to an object; return the key of the file it is in, and the object."""
    import h5py

    node = open_file(store, key)
    parts = [p for p in name.split("/") if p and p != "."]
    hops = 0
    while parts:
        part = parts.pop(0)
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
        if link is None:
            raise _no_dataset(node, part, place(store, key))
        if isinstance(link, h5py.HardLink):
            node = node[part]
            continue
        hops += 1
        if hops > _MOST_HOPS:
            raise FormatError(
                f"{place(store, key)}: links lead in a circle at {part!r}",
                code=Code.METADATA_INVALID,
                fix="name the dataset by its own path instead of a link",
            )
        parts = [p for p in link.path.split("/") if p and p != "."] + parts
        if isinstance(link, h5py.ExternalLink):
            key = _beside(store, key, link.filename)
            node = open_file(store, key)
        elif link.path.startswith("/"):
            node = node.file["/"]
    return key, node


def _no_dataset(node: Any, part: str, where: str) -> NotFoundError:
    names = list(node)[:_MOST_LISTED] if hasattr(node, "keys") else []
    there = f"{node.name} holds {', '.join(names)}" if names else f"{node.name} holds nothing by name"
    return NotFoundError(
        f"{where} has no {part!r} in {node.name}", code=Code.PATH_MISSING, fix=f"check the name: {there}"
    )


def _beside(store: ReadableStore, key: str, filename: str) -> str:
    """Return the key of a file that an HDF5 file points to; it may not leave the store."""
    parts = key.split("/")[:-1]
    for part in filename.split("/"):
        if part == "..":
            if not parts:
                raise _outside(store, key, filename)
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    if filename.startswith("/") or "\\" in filename or "%" in filename or not parts:
        raise _outside(store, key, filename)
    return "/".join(parts)


def _outside(store: ReadableStore, key: str, filename: str) -> UnsupportedError:
    return UnsupportedError(
        f"{place(store, key)} points to {filename!r}, which is outside the folder that was opened",
        code=Code.FEATURE_UNSUPPORTED,
        fix="put both files in one folder with relative links, or copy the data into one file with h5copy",
    )


def check_storage(store: ReadableStore, key: str, dataset: Any, depth: int) -> None:
    """Refuse raw files outside the HDF5 file, and virtual datasets whose sources are absent or elsewhere."""
    if dataset.shape is not None and dataset.external:
        raise _outside(store, key, str(dataset.external[0][0]))
    if dataset.shape is None or not dataset.is_virtual:
        return
    if depth > 4 or local_name(store, key) is None:
        raise UnsupportedError(
            f"{place(store, key)}::{dataset.name} is virtual, and nested too deeply or not on this machine",
            code=Code.FEATURE_UNSUPPORTED,
            fix="copy its files to this machine, or store the data in one dataset",
        )
    sources = {(s.file_name, s.dset_name) for s in dataset.virtual_sources()}
    for file_name, name in sorted(sources):
        other = key if file_name == "." else _beside(store, key, file_name)
        if "%" in name:
            raise _outside(store, key, name)
        if store.stat(other) is None:
            raise NotFoundError(
                f"{place(store, key)}::{dataset.name} takes voxels from {other}, which does not exist",
                code=Code.PATH_MISSING,
                fix="put the file back; HDF5 would silently show fill values instead",
            )
        found, node = find(store, other, name)
        check_storage(store, found, node, depth + 1)


# ---------------------------------------------------------------------------------------------- what is there
def has_signature(head: bytes) -> bool:
    """Tell whether a file begins as HDF5, also behind a user block; `head` has its first bytes."""
    return any(head.startswith(_SIGNATURE, at) for at in _SIGNATURE_PLACES)


def below(group: Any, *names: str) -> Any:  # Any: h5py is untyped
    """Return what hard links lead to, name by name; None when there is nothing, or another kind of link."""
    import h5py

    for name in names:
        if not isinstance(group, h5py.Group) or not isinstance(group.get(name, getlink=True), h5py.HardLink):
            return None
        group = group[name]
    return group


def datasets_below(group: Any) -> Iterator[Any]:
    """Yield every dataset below a group that a hard link leads to, once."""
    import h5py

    waiting = [group]
    seen: set[int] = set()
    while waiting and len(seen) < _MOST_NODES:
        node = waiting.pop(0)
        for name in node:
            if not isinstance(node.get(name, getlink=True), h5py.HardLink):
                continue
            child = node[name]
            address = h5py.h5o.get_info(child.id).addr
            if address in seen:
                continue
            seen.add(address)
            if isinstance(child, h5py.Dataset):
                yield child
            elif isinstance(child, h5py.Group):
                waiting.append(child)
