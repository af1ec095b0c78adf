"""Which web pages may read answers (CORS). Viewers live on other sites than data, so every answer says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from voxarium.serve.answers import Answer, Header

__all__ = ["CrossOrigin"]

_EXPOSED: Final = (
    b"access-control-expose-headers",
    b"Accept-Ranges, Content-Encoding, Content-Length, Content-Range, ETag, Last-Modified, Repr-Digest, Retry-After",
)
_SNIFF: Final = (b"x-content-type-options", b"nosniff")
_METHODS: Final = (b"access-control-allow-methods", b"GET, HEAD, OPTIONS")
_AGE: Final = (b"access-control-max-age", b"86400")


class CrossOrigin:
    """Headers for answers.

    Parameters
    ----------
    origins : sequence of str
        Sites whose pages may read; ``*`` for all.
    """

    def __init__(self, origins: Sequence[str]) -> None:
        self._all = "*" in origins
        self._origins = frozenset(o.rstrip("/").encode("ascii", "ignore") for o in origins)

    def headers(self, request: Sequence[Header]) -> tuple[Header, ...]:
        """Return what is added to an answer to a request with these headers."""
        if self._all:
            return ((b"access-control-allow-origin", b"*"), _EXPOSED, _SNIFF)
        origin = next((value for name, value in request if name == b"origin"), b"")
        if origin not in self._origins:
            return ((b"vary", b"origin"), _SNIFF)
        return ((b"access-control-allow-origin", origin), (b"vary", b"origin"), _EXPOSED, _SNIFF)

    def preflight(self, request: Sequence[Header]) -> Answer:
        """Return the answer to a browser that asks before it asks; what it names is read, never changed."""
        answer = Answer(204, [_METHODS, _AGE])
        for name, value in request:
            if name == b"access-control-request-headers":
                answer.headers.append((b"access-control-allow-headers", _clean(value)))
            elif name == b"access-control-request-private-network":  # from a public site to a server in the lab
                answer.headers.append((b"access-control-allow-private-network", b"true"))
        return answer


def _clean(value: bytes) -> bytes:
    """Return names of headers, without anything else that was sent as such."""
    names = (name.strip() for name in value.split(b",", 64)[:64])
    return b", ".join(n for n in names if n and n.replace(b"-", b"").replace(b"_", b"").isalnum() and len(n) < 64)
