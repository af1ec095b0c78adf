"""A store that fails on purpose, reproducibly: to show that nothing is lost or invented then."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, TypeVar, cast

from voxarium.errors import Code, InputError, StoreError
from voxarium.model.protocols import ReadableStore
from voxarium.model.wrapping import Operation, StoreWrapper

__all__ = ["FaultRule", "FaultStore"]

_T = TypeVar("_T")
Kind = Literal["error", "permission", "truncate", "full", "lost-answer"]
_DATA: Final = frozenset({"get", "get_ranges", "read"})
_MESSAGES: Final = {
    "error": (Code.STORE_UNREADABLE, "failed on purpose"),
    "lost-answer": (Code.STORE_UNREADABLE, "was done, but its answer was lost on purpose"),
    "permission": (Code.STORE_PERMISSION, "was forbidden on purpose"),
    "full": (Code.STORE_FULL, "found no space left, on purpose"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """What fails, and when.

    Parameters
    ----------
    kind : str
        ``error`` (unreachable), ``permission``, ``truncate`` (data returned too short), ``full`` (no space
        left), ``lost-answer`` (the operation takes place, and then raises).
    methods : set of str
        Methods concerned; empty for all. Also ``write`` and ``commit`` of writers, ``read`` of files.
    keys : str
        Pattern of the keys concerned, as in a shell.
    nth : int or None
        Fail only at the nth matching operation, from 1.
    after : int or None
        Fail at every matching operation behind the nth.
    after_bytes : int or None
        Fail at every matching write once this many bytes were handed over: a disk of that size.
    probability : float
        Fail so often, by a random sequence that depends on the store's seed alone.
    keep : int
        Bytes left by ``truncate``.
    error : exception or None
        Raise this instead; a BaseException such as KeyboardInterrupt acts like a killed process.
    """

    kind: Kind = "error"
    methods: frozenset[str] = frozenset()
    keys: str = "*"
    nth: int | None = None
    after: int | None = None
    after_bytes: int | None = None
    probability: float = 1.0
    keep: int = 0
    error: BaseException | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:
            raise InputError(
                f"probability {self.probability} is not between 0 and 1",
                code=Code.ARGUMENT_INVALID,
                fix="give a share of the operations, such as 0.1",
            )


class FaultStore(StoreWrapper):
    """A store that fails by rules.

    Parameters
    ----------
    inner : ReadableStore
        The wrapped store.
    rules : sequence of FaultRule
        The first that applies decides.
    seed : int
        Makes the random faults reproducible.

    Examples
    --------
    >>> from voxarium.stores.memory import MemoryStore
    >>> store = FaultStore(MemoryStore({"a": b"x"}), [FaultRule(nth=2)])
    >>> store.get("a")
    b'x'
    >>> try:
    ...     store.get("a")
    ... except StoreError as error:
    ...     str(error)
    'get of a failed on purpose'
    """

    watches_files = True
    hides_path = True

    def __init__(self, inner: ReadableStore, rules: Sequence[FaultRule], *, seed: int = 0) -> None:
        super().__init__(inner)
        self._rules = tuple(rules)
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._seen = [0] * len(self._rules)
        self._bytes = [0] * len(self._rules)
        self.fired = [0] * len(self._rules)

    def around(self, operation: Operation, call: Callable[[], _T]) -> _T:
        """Do the operation, or fail."""
        rule = self._applying(operation)
        if rule is None:
            return call()
        if rule.kind == "truncate":
            return cast("_T", _shortened(call(), rule.keep)) if operation.method in _DATA else call()
        if rule.kind == "lost-answer":
            call()
        if rule.error is not None:
            raise rule.error
        code, words = _MESSAGES[rule.kind]
        raise StoreError(
            f"{operation.method} of {operation.key} {words}",
            code=code,
            fix="expected in a test with FaultStore",
        )

    def _applying(self, operation: Operation) -> FaultRule | None:
        with self._lock:
            found: int | None = None
            for i, rule in enumerate(self._rules):
                if rule.methods and operation.method not in rule.methods:
                    continue
                if not fnmatchcase(operation.key, rule.keys):
                    continue
                self._seen[i] += 1
                self._bytes[i] += operation.size
                # Every matching rule counts and draws, so that rules do not shift each other.
                drawn = rule.probability >= 1.0 or self._random.random() < rule.probability
                if found is None and drawn and self._is_due(i, rule, operation):
                    found = i
            if found is None:
                return None
            self.fired[found] += 1
            return self._rules[found]

    def _is_due(self, i: int, rule: FaultRule, operation: Operation) -> bool:
        if rule.nth is not None and self._seen[i] != rule.nth:
            return False
        if rule.after is not None and self._seen[i] <= rule.after:
            return False
        if rule.after_bytes is not None:
            return operation.size > 0 and self._bytes[i] > rule.after_bytes
        return True


def _shortened(result: Any, keep: int) -> Any:  # Any: whatever the operation returns
    if isinstance(result, bytes):
        return result[:keep]
    if isinstance(result, list | tuple):
        return [memoryview(part).cast("B")[:keep] for part in result]
    return result
