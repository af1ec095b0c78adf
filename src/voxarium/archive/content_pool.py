"""Objects named by their content: stored once, whoever has them."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from voxarium.archive.release_content import put_named
from voxarium.model.protocols import WritableStore

__all__ = ["ContentPool"]


class ContentPool:
    """Stores objects under keys made of their content, and makes sure of them once they are named.

    Parameters
    ----------
    store : WritableStore
        The dataset.
    """

    def __init__(self, store: WritableStore) -> None:
        self._store = store
        self._known: dict[str, bytes] = {}

    def put(self, name: Callable[[str], str], data: bytes) -> str:
        """Store bytes under the key that `name` makes of their SHA-256; return it."""
        key = name(sha256(data).hexdigest())
        if key not in self._known:
            put_named(self._store, key, data, fresh=True)
            self._known[key] = data
        return key

    def make_sure(self) -> None:
        """Store anew what somebody has removed who found that nothing named it."""
        for key, data in self._known.items():
            if self._store.stat(key) is None:
                put_named(self._store, key, data, fresh=False)
