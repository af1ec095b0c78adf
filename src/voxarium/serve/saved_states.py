"""States of the viewer that somebody saved, and sessions that several browsers share. All of it is bounded."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import secrets
import tempfile
import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["SavedStates", "Session", "Sessions"]

_MOST: Final = 4096
_MOST_BYTES: Final = 64 << 20
_MOST_SESSIONS: Final = 256
_ID: Final = re.compile(r"[a-z0-9]{12}")


class SavedStates:
    """Saved states by short names. Thread-safe. The oldest go when there are too many; a name follows from its state.

    Parameters
    ----------
    folder : str or None
        Where the processes of one server keep them for each other; None keeps them in memory.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._folder = folder
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def save(self, state: dict[str, Any]) -> str:
        """Keep a state and return its name."""
        text = json.dumps(state, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode("utf-8", "replace")
        number = int.from_bytes(hashlib.sha256(text).digest()[:8]) % 36**12
        name = "".join("0123456789abcdefghijklmnopqrstuvwxyz"[number // 36**i % 36] for i in range(12))
        self._keep(name, text)
        if self._folder is not None:
            with suppress(OSError):
                self._write(name, text)
        return name

    def _keep(self, name: str, text: bytes) -> None:
        with self._lock:
            old = self._kept.pop(name, b"")
            self._kept[name] = text
            self._bytes += len(text) - len(old)
            while len(self._kept) > 1 and (self._bytes > _MOST_BYTES or len(self._kept) > _MOST):
                self._bytes -= len(self._kept.popitem(last=False)[1])

    def _write(self, name: str, text: bytes) -> None:
        folder = self._folder or ""
        known = [n for n in os.listdir(folder) if n.startswith("state-")]
        size = sum(os.path.getsize(os.path.join(folder, n)) for n in known)
        if len(known) >= _MOST or size + len(text) > _MOST_BYTES:
            return
        handle, path = tempfile.mkstemp(prefix=".state-", dir=folder)
        with os.fdopen(handle, "wb") as file:
            file.write(text)
        os.replace(path, os.path.join(folder, f"state-{name}"))

    def get(self, name: str) -> bytes | None:
        """Return a state as JSON; None when it is not known, or no longer."""
        if _ID.fullmatch(name) is None:
            return None
        found = self._kept.get(name)
        if found is None and self._folder is not None:
            with suppress(OSError), open(os.path.join(self._folder, f"state-{name}"), "rb") as file:
                found = file.read()
        return found


@dataclass(slots=True)
class Session:
    """A state that several browsers change."""

    state: Any = None  # Any: JSON
    generation: str = ""
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Sessions:
    """Sessions by token; the one that was not used for longest goes when there are too many."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Session] = OrderedDict()
        self._sizes: dict[str, int] = {}

    def get(self, token: str) -> Session:
        """Return a session, a new one if nobody has begun it."""
        found = self._kept.pop(token, None) or Session()
        self._kept[token] = found
        while len(self._kept) > 1 and (len(self._kept) > _MOST_SESSIONS or sum(self._sizes.values()) > _MOST_BYTES):
            oldest, _ = self._kept.popitem(last=False)
            self._sizes.pop(oldest, None)
        return found

    def change(self, token: str, state: Any, *, client: str, before: str, size: int) -> str | None:
        """Change a state and return its new generation; None when somebody else has changed it meanwhile."""
        session = self.get(token)
        if before != session.generation:
            return None
        session.state, session.generation = state, f"{client}/{secrets.token_hex(6)}"
        self._sizes[token] = size
        waiting, session.changed = session.changed, asyncio.Event()
        waiting.set()
        return session.generation
