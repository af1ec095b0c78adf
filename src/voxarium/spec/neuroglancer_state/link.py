"""Links that carry a state behind ``#!``, as JSON or in the form that survives in texts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote

from voxarium.errors import Code, UnsupportedError
from voxarium.model.scene_fields import parse_document, refuse

__all__ = ["dump_link", "parse_link"]

_VIEWER: Final = "https://neuroglancer-demo.appspot.com/"
_SAFE: Final = "~@#$&()*!+=:;,.?/'"


def parse_link(link: str) -> Mapping[str, Any]:
    """Return the state that a link carries.

    Raises
    ------
    FormatError
        If it carries none.
    UnsupportedError
        If it names another document instead: nothing is fetched that only a link names.

    Examples
    --------
    >>> parse_link("https://example.org/#!{'title':'a_b'_'layers':[]}")
    {'title': 'a_b', 'layers': []}
    """
    _, mark, fragment = link.partition("#")
    text = unquote(fragment)
    if not mark or not text.startswith("!"):
        raise refuse("the link", "carries no state behind #!", "copy the whole address of the viewer")
    text = text[1:].lstrip()
    if not text.startswith("{"):
        raise UnsupportedError(
            f"the link names the state {text[:120]!r} instead of carrying it",
            code=Code.FEATURE_UNSUPPORTED,
            fix="open that address itself, or the JSON it leads to",
        )
    return parse_document(_plain_json(text), "the link's state")


def dump_link(state: Mapping[str, Any], viewer: str = _VIEWER) -> str:
    """Return a link that opens a state in the viewer at an address."""
    text = json.dumps(state, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return f"{viewer.partition('#')[0]}#!{quote(text.encode('utf-8', 'replace'), safe=_SAFE)}"


def _plain_json(text: str) -> str:
    """Return JSON: commas for underscores and ampersands, double quotes for single ones, outside and around strings."""
    out: list[str] = []
    quoted = ""
    i = 0
    while i < len(text):
        char = text[i]
        if not quoted:
            quoted = char if char in "'\"" else ""
            out.append('"' if quoted else "," if char in "_&" else char)
        elif char == "\\":
            follow = text[i + 1 : i + 2]
            out.append("'" if follow == "'" else char + follow)
            i += 1
        elif char == quoted:
            quoted = ""
            out.append('"')
        else:
            out.append('\\"' if char == '"' else char)
        i += 1
    return "".join(out)
