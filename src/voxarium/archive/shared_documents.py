"""Changing a document that others change too: none of the changes is lost.

On local files one writer at a time holds the folder. On object stores that obey conditional writes (``If-Match``), the
document is replaced only if it is still the one that was read. Some servers refuse every such write, and some ignore
the condition: both are found out once, on an object of its own. There, writers take turns by objects that are created
only where none is:

* ``.voxarium-locks/NAME/N`` is held by whoever created it, until it is removed. The highest number counts.
* Who waited for one for long enough takes the next number, looks whether the one before is still that which it waited
  for, and gives way if not. So no clocks are compared, and nothing is removed but by who made it.

Every loop ends.
"""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from voxarium.errors import Code, ConflictError, StoreError, UnsupportedError
from voxarium.model.protocols import ListableStore, TaggedStore, WritableStore
from voxarium.stores.local import LocalStore

__all__ = ["change_document", "obeys_tags"]

_MOST_ATTEMPTS: Final = 200
_PATIENCE: Final = 180.0  # seconds
_ABANDONED: Final = 45.0  # seconds after which a turn that nobody ends is over
_LONGEST_PAUSE: Final = 1.0
_LOCKS: Final = ".voxarium-locks"
_PROBES: Final = ".voxarium-probe"

_known: dict[str, bool] = {}
_probing: Final = threading.Lock()


def change_document(store: WritableStore, key: str, how: Callable[[bytes | None], bytes | None]) -> None:
    """Change a document, whatever others do to it meanwhile.

    Parameters
    ----------
    store : WritableStore
        Where it is.
    key : str
        Of the document.
    how : callable
        Takes what is there (None: nothing) and returns what should be; None = leave it. It is called again when the
        document changed meanwhile.

    Raises
    ------
    ConflictError
        If others were faster all the time.
    StoreError
        If the store cannot be reached. The document is as it was, or as it should be.
    """
    if isinstance(store, TaggedStore) and obeys_tags(store):
        _replace(store, key, how)
        return
    with _alone(store.root) if isinstance(store, LocalStore) else _turn(store, key):
        data = how(store.get(key))
        if data is None:
            return
        _durable(store).put(key, data)
        if store.get(key) != data:
            raise _busy(store, key)


def _durable(store: WritableStore) -> WritableStore:
    """Return a store that has the new document on the disk before the old one goes: else both could be lost."""
    return LocalStore(store.root, durable=True) if isinstance(store, LocalStore) else store


def obeys_tags(store: TaggedStore) -> bool:
    """Tell whether a server replaces objects exactly if they are those that were read. Asked once."""
    with _probing:
        known = _known.get(store.uri)
        if known is None:
            known = _known[store.uri] = _probe(store)
        return known


def _probe(store: TaggedStore) -> bool:
    key = f"{_PROBES}/{secrets.token_hex(8)}"
    try:
        store.put(key, b"1")
        first = store.get_tagged(key)
        if first is None or not store.put_tagged(key, b"2", first[1]):
            return False  # refused although nothing changed
        return not store.put_tagged(key, b"3", first[1])  # done although it changed
    except UnsupportedError:
        return False
    finally:
        with contextlib.suppress(StoreError):
            store.delete(key)


def _replace(store: TaggedStore, key: str, how: Callable[[bytes | None], bytes | None]) -> None:
    give_up = time.monotonic() + _PATIENCE
    for attempt in range(_MOST_ATTEMPTS):
        found = store.get_tagged(key)
        data = how(None if found is None else found[0])
        if data is None:
            return
        try:
            done = store.put_if_absent(key, data) if found is None else store.put_tagged(key, data, found[1])
        except StoreError:
            if store.get(key) != data:  # the answer did not get lost, or another writer came since: `how` looks again
                raise
            return
        if done:
            return
        if time.monotonic() > give_up:
            break
        _pause(attempt)
    raise _busy(store, key)


def _pause(attempt: int) -> None:
    time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.005 * 2 ** min(attempt, 10))))


def _busy(store: WritableStore, key: str) -> ConflictError:
    return ConflictError(
        f"other writers kept changing {key} in {store.uri}",
        code=Code.DATASET_BUSY,
        fix="try again when fewer writers are at work",
    )


# -------------------------------------------------------------------------------------------------------------- turns
@contextlib.contextmanager
def _alone(folder: str) -> Iterator[None]:
    """Let one process at a time change what is in a local folder."""
    import fcntl

    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise StoreError(
            f"{folder} could not be opened: {error.strerror}",
            code=Code.STORE_UNREADABLE,
            fix="check the folder's permissions",
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _turn(store: WritableStore, key: str) -> Iterator[None]:
    """Wait for one's turn to change a document, and end it."""
    name = _taken(store, f"{_LOCKS}/{key}") if isinstance(store, ListableStore) else None
    try:
        yield
    finally:
        if name is not None:
            with contextlib.suppress(StoreError):  # others go on after a while
                store.delete(name)


def _taken(store: WritableStore, folder: str) -> str:
    """Create the next lock when the one before has ended or was given up; return its key."""
    token = secrets.token_hex(16).encode()
    give_up = time.monotonic() + _PATIENCE
    seen: tuple[int, bytes] = (0, b"")
    since = time.monotonic()
    for attempt in range(_MOST_ATTEMPTS):
        number = _highest(store, folder)
        held = (store.get(f"{folder}/{number}") or b"") if number else b""
        if (number, held) != seen:
            seen, since = (number, held), time.monotonic()
        if not number or (held and time.monotonic() - since > _ABANDONED):
            mine = f"{folder}/{number + 1}"
            if _created(store, mine, token):
                still = not number or store.get(f"{folder}/{number}") == held
                if still and _highest(store, folder) == number + 1:
                    return mine
                store.delete(mine)
        if time.monotonic() > give_up:
            break
        _pause(attempt)
    raise _busy(store, folder.removeprefix(f"{_LOCKS}/"))


def _created(store: WritableStore, key: str, token: bytes) -> bool:
    try:
        return store.put_if_absent(key, token)
    except StoreError:
        if store.get(key) != token:  # the answer got lost, or the object was never made
            raise
        return True


def _highest(store: WritableStore, folder: str) -> int:
    if not isinstance(store, ListableStore):
        return 0
    return max((int(n) for n in store.list_dir(folder)[0] if n.isdecimal() and len(n) < 10), default=0)
