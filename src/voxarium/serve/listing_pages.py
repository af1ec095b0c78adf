"""Listings as people and programs read them: HTML, JSON, and the XML of S3."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final
from urllib.parse import quote

from voxarium.core.report import bytes_text
from voxarium.serve.addresses import quoted
from voxarium.serve.answers import Answer, json_answer, text_answer
from voxarium.serve.listing import Entry, Lister, keys_page
from voxarium.serve.page import page

__all__ = ["html_listing", "json_listing", "s3_listing"]

_MOST_SHOWN: Final = 5000  # names on one page for people
_MOST_NAMES: Final = 100_000  # of one document
_MOST_KEYS: Final = 1000  # of one page of S3
_FRESH: Final = (b"cache-control", b"no-cache")
_POLICY: Final = (
    b"content-security-policy",
    b"default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
)
_XML: Final = b"application/xml"
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f\ufffe\uffff]")


def _when(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def html_listing(title: str, entries: Sequence[Entry], *, up: bool) -> Answer:
    """Return a page with links, relative to the folder."""
    rows = ['<tr><td><a href="../">../</a></td><td></td><td></td></tr>'] if up else []
    for entry in entries[:_MOST_SHOWN]:
        size = "" if entry.size is None else bytes_text(entry.size)
        # "./" in front: a name with a colon is not to be taken for a scheme.
        rows.append(
            f'<tr><td><a href="./{quoted(entry.name)}">{escape(entry.name)}</a></td>'
            f'<td class="n">{size}</td><td class="n faint">{_when(entry.modified)}</td></tr>'
        )
    more = len(entries) - _MOST_SHOWN
    note = f"<p class=faint>{more:,} more: ask for JSON, or list the folder as S3 does.</p>" if more > 0 else ""
    top = "../" * (title.count("/") + (2 if up else 1))
    body = (
        f'<p class="small"><a href="{top}">All datasets</a></p><h1>{escape(title)}</h1>'
        '<table><thead><tr><th>Name</th><th class="n">Size</th><th class="n">Changed (UTC)</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>{note}"
    )
    return text_answer(200, page(title, body), [_FRESH, _POLICY], b"text/html; charset=utf-8")


def json_listing(address: str, entries: Sequence[Entry]) -> Answer:
    """Return the names of a folder, up to a hundred thousand."""
    files = []
    more = len(entries) - _MOST_NAMES
    entries = entries[:_MOST_NAMES]
    for entry in (e for e in entries if not e.name.endswith("/")):
        known = {"name": entry.name, "size": entry.size, "modified": entry.modified}
        files.append({name: value for name, value in known.items() if value is not None})
    folders = [e.name[:-1] for e in entries if e.name.endswith("/")]
    beyond = {"more": more} if more > 0 else {}  # S3's listing has them all, page by page
    return json_answer({"address": address, "folders": folders, "files": files, **beyond})


# ---------------------------------------------------------------------------------------------------------------- S3
def s3_listing(bucket: str, lister: Lister, query: Mapping[str, str], *, above: str = "") -> Answer:
    """Return what ListObjectsV2 asks for.

    Parameters
    ----------
    bucket : str
        Its name in the answer.
    lister : Lister
        Of its folders.
    query : mapping
        Arguments of the request.
    above : str
        What keys of the bucket begin with before those of `lister`; ends with a slash.
    """
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    try:
        token = query.get("continuation-token")
        after = query.get("start-after", "") if token is None else _key_of(token)
        most = min(int(query.get("max-keys") or _MOST_KEYS), _MOST_KEYS)
    except ValueError:
        return _s3_error("InvalidArgument", "a continuation token or a number is malformed")
    texts = (prefix, delimiter, after, token or "")
    if most < 0 or delimiter not in ("", "/") or any(_CONTROLS.search(t) for t in texts):
        return _s3_error("InvalidArgument", "the delimiter must be /, and names have no control characters")
    if not prefix.startswith(above):
        return _s3_error("NoSuchBucket", f"prefixes here begin with {above}", 404)
    behind = after.removeprefix(above) if after.startswith(above) else ""
    found = keys_page(lister, prefix.removeprefix(above), after=behind, most=most, deep=not delimiter)
    encode = (lambda t: quote(t, safe="/")) if query.get("encoding-type") == "url" else escape
    fields = [
        ("Name", escape(bucket)),
        ("Prefix", encode(prefix)),
        ("Delimiter", encode(delimiter) if delimiter else ""),
        ("StartAfter", encode(query.get("start-after", ""))),
        ("EncodingType", "url" if encode is not escape else ""),
        ("ContinuationToken", escape(token or "")),
        ("NextContinuationToken", "" if found.last is None else _token_of(above + found.last)),
    ]
    parts = [f"<{name}>{text}</{name}>" for name, text in fields if text or name == "Prefix"]
    parts.append(f"<MaxKeys>{most}</MaxKeys><KeyCount>{len(found.objects) + len(found.folders)}</KeyCount>")
    parts.append(f"<IsTruncated>{'true' if found.last is not None else 'false'}</IsTruncated>")
    for key, entry in found.objects:
        size = lister.size(key) if entry.size is None else entry.size
        when = datetime.fromtimestamp(entry.modified or 0, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        parts.append(
            f"<Contents><Key>{encode(above + key)}</Key><LastModified>{when}</LastModified><Size>{size}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
        )
    parts.extend(f"<CommonPrefixes><Prefix>{encode(above + f)}</Prefix></CommonPrefixes>" for f in found.folders)
    return _xml(
        200, f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{"".join(parts)}</ListBucketResult>'
    )


def _xml(status: int, text: str) -> Answer:
    return text_answer(status, f'<?xml version="1.0" encoding="UTF-8"?>\n{text}', [_FRESH], _XML)


def _s3_error(code: str, message: str, status: int = 400) -> Answer:
    return _xml(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>")


def _token_of(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _key_of(token: str) -> str:
    try:
        return base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError) as error:
        raise ValueError("no token") from error
