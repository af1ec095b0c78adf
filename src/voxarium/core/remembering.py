"""A store asked by many: while something is opened, every driver looks for its own documents, often the same ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, cast

from voxarium.model.protocols import ReadableStore
from voxarium.model.wrapping import Operation, StoreWrapper

__all__ = ["learn", "remembering"]

_T = TypeVar("_T")
_MOST_BYTES: Final = 1 << 20


class _RememberingStore(StoreWrapper):
    """Answers the same question once. For one opening only: what changes meanwhile is not noticed."""

    def __init__(self, inner: ReadableStore) -> None:
        super().__init__(inner)
        self._known: dict[tuple[str, str], Any] = {}  # Any: answers of either kind
        self._told: dict[str, bytes | None] = {}

    def learn(self, documents: Mapping[str, bytes | None]) -> None:
        """Take the content of objects from elsewhere; None for such that are not there."""
        self._told.update(documents)

    @property
    def concurrency(self) -> int:
        """As the store around says."""
        return self.inner.concurrency

    def around(self, operation: Operation, call: Callable[[], _T]) -> _T:
        """Answer from memory, or ask."""
        if operation.method not in ("get", "stat"):
            return call()
        if operation.method == "get" and operation.key in self._told:
            return cast(_T, self._told[operation.key])
        question = (operation.method, operation.key)
        if question in self._known:
            return cast(_T, self._known[question])
        answer = call()
        if not isinstance(answer, bytes) or len(answer) <= _MOST_BYTES:
            self._known[question] = answer
        return answer


def remembering(store: ReadableStore) -> ReadableStore:
    """Return a store that asks a remote one each question once; a local one as it is."""
    return store if store.concurrency == 1 else _RememberingStore(store)


def learn(store: ReadableStore, find: Callable[[], Mapping[str, bytes | None]]) -> None:
    """Let a store that remembers know documents that were found elsewhere; others are asked themselves."""
    if isinstance(store, _RememberingStore):
        store.learn(find())
