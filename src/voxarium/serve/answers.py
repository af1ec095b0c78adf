"""Answers: status, headers and bytes, without anything that sends them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from typing_extensions import Buffer

__all__ = ["Answer", "Body", "Header", "WouldWait", "failure", "json_answer", "text_answer"]

Header = tuple[bytes, bytes]

_PLAIN: Final = (b"content-type", b"text/plain; charset=utf-8")


class WouldWait(Exception):  # noqa: N818  a signal, not a failure
    """The disk or a network must be waited for: ask again from a thread."""


class Body(Protocol):
    """What follows the first bytes of an answer. It keeps nothing open between its pieces."""

    def read(self, *, wait: bool) -> Buffer:
        """Return the next piece; empty at the end. Without `wait`, `WouldWait` tells that it is not at hand."""


@dataclass(slots=True)
class Answer:
    """What to send.

    Parameters
    ----------
    status : int
        Of HTTP.
    headers : list of (bytes, bytes)
        Names in lower case. Those that every answer has are added when it is sent.
    first : buffer
        The body, or the beginning of it.
    rest : Body or None
        What follows `first`.
    """

    status: int
    headers: list[Header] = field(default_factory=list)
    first: Buffer = b""
    rest: Body | None = None


def text_answer(status: int, text: str, headers: Sequence[Header] = (), media_type: bytes = _PLAIN[1]) -> Answer:
    """Return an answer of text."""
    raw = text.encode("utf-8", "replace")
    return Answer(status, [(b"content-type", media_type), (b"content-length", b"%d" % len(raw)), *headers], raw)


def json_answer(document: Any, status: int = 200) -> Answer:  # Any: JSON
    """Return a document; read anew each time, as what is served changes."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text_answer(status, text, [(b"cache-control", b"no-cache")], b"application/json")


def failure(status: int, text: str, headers: Sequence[Header] = ()) -> Answer:
    """Return what went wrong, in one line; nobody keeps it."""
    return text_answer(status, f"{text}\n", [(b"cache-control", b"no-store"), *headers])
