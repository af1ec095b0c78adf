"""The access log: one JSON document a line, without anything secret."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TextIO
from urllib.parse import parse_qsl

from voxarium.errors import Code, StoreError
from voxarium.serve.secret_text import redacted

__all__ = ["AccessLog", "shown_path", "shown_query"]

# What comes behind these in a path is a token: /t/{token}/…, and those of viewers that share their view.
_TOKEN: Final = re.compile(r"^(/+t/)[^/]+")
_SHARED: Final = re.compile(r"^(/+(?:t/[*]{3}/+)?(?:v|events|state|action|credentials)/)[^/]+")
# Arguments whose values say what was asked for and are nobody's secret. Of all others only the names are logged.
_PLAIN: Final = frozenset({"box", "level", "at", "format", "size", "list-type", "prefix", "delimiter", "max-keys"})
_LONGEST: Final = 2048
_LINES: Final = 64  # written together under load


def shown_path(path: str) -> str:
    """Return a path without the tokens in it.

    Examples
    --------
    >>> shown_path("/t/abc/raw/em/0")
    '/t/***/raw/em/0'
    """
    return redacted(_SHARED.sub(r"\1***", _TOKEN.sub(r"\1***", path)))[:_LONGEST]


def shown_query(query: bytes) -> str:
    """Return a query without values that might be secrets.

    Examples
    --------
    >>> shown_query(b"level=2&token=abc")
    'level=2&token=***'
    """
    pairs = parse_qsl(query.decode("utf-8", "replace")[:_LONGEST], keep_blank_values=True)
    return redacted("&".join(f"{name}={value if name in _PLAIN else '***'}" for name, value in pairs))


class AccessLog:
    """Writes a line for each request.

    Parameters
    ----------
    path : str
        Of the file it is appended to; ``-`` for the standard error stream.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """

    def __init__(self, path: str) -> None:
        self._lines: list[str] = []
        self._file: TextIO
        if path == "-":
            self._file = sys.stderr
            return
        try:
            self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115  kept as long as the server runs
        except OSError as error:
            raise StoreError(
                f"the access log {path} cannot be written: {error.strerror}",
                code=Code.STORE_UNWRITABLE,
                fix="name a file in a folder that the server may write, or - for the standard error stream",
            ) from error

    def add(
        self,
        scope: Mapping[str, Any],
        *,
        route: str,
        status: int,
        sent: int,
        seconds: float,
        client: str = "",
        who: str = "",
    ) -> None:
        """Note a request. `scope` is that of ASGI."""
        headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
        line: dict[str, Any] = {  # Any: JSON
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "client": client or (scope.get("client") or ("",))[0],
            "method": scope["method"],
            "path": shown_path(scope["path"]),
            "status": status,
            "bytes": sent,
            "seconds": round(seconds, 6),
            "route": route,
        }
        if who:
            line["who"] = who
        if scope["query_string"]:
            line["query"] = shown_query(scope["query_string"])
        for name, value in headers:
            if name in (b"range", b"user-agent"):
                line[name.decode()] = redacted(value.decode("latin-1"))[:256]
        self.write(line)

    def write(self, line: Mapping[str, Any]) -> None:
        """Note a document that has nothing secret in it."""
        self._lines.append(json.dumps(line, separators=(",", ":")))
        if len(self._lines) >= _LINES:
            self.flush()

    def flush(self) -> None:
        """Write what is not written yet."""
        if self._lines:
            lines, self._lines = self._lines, []
            self._file.write("\n".join(lines) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Write the rest."""
        self.flush()
        if self._file is not sys.stderr:
            self._file.close()
