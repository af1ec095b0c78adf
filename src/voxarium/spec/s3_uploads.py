"""Unfinished uploads of S3: how to ask for them, and what the server answers.

Requests are signed with AWS Signature Version 4 (headers). Keys are asked for URL-encoded, since XML cannot hold all of
them. Spec: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final
from urllib.parse import quote, unquote

from voxarium.errors import Code, FormatError
from voxarium.model.xml_tree import Element, parse_xml

__all__ = [
    "Credentials",
    "PartPage",
    "Request",
    "StartedUpload",
    "UploadPage",
    "parse_parts",
    "parse_uploads",
    "signed",
]

_EMPTY: Final = sha256(b"").hexdigest()
_DIGITS: Final = re.compile(r"[0-9]{1,15}")
_MOST_NAME: Final = 4096
_SPEC: Final = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What requests are signed with. The text of it shows no secret."""

    key: str
    secret: str
    token: str = ""

    def __repr__(self) -> str:
        return "Credentials(…)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request without a body.

    Parameters
    ----------
    method : str
        ``GET`` or ``DELETE``.
    host : str
        Name of the server, with the port where it is not the usual one.
    path : str
        Path on it, not encoded, beginning with ``/``.
    query : mapping of str to str
        Its query, not encoded.
    """

    method: str
    host: str
    path: str
    query: Mapping[str, str]

    @property
    def target(self) -> str:
        """Path and query, encoded: what stands behind the host."""
        return f"{quote(self.path, safe='/-_.~')}?{self._query}"

    @property
    def _query(self) -> str:
        return "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in sorted(self.query.items()))


def signed(request: Request, credentials: Credentials, region: str, when: datetime) -> dict[str, str]:
    """Return the headers that go with a request.

    Parameters
    ----------
    request : Request
        The request.
    credentials : Credentials
        Whose it is.
    region : str
        Of the bucket.
    when : datetime
        Now, in UTC.

    Examples
    --------
    >>> request = Request(method="GET", host="h", path="/b", query={"uploads": ""})
    >>> made = signed(request, Credentials(key="me", secret="s"), "us-east-1", datetime(2026, 1, 2, tzinfo=UTC))
    >>> made["x-amz-date"], made["Authorization"][:64]
    ('20260102T000000Z', 'AWS4-HMAC-SHA256 Credential=me/20260102/us-east-1/s3/aws4_request')
    """
    moment = when.strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": request.host, "x-amz-content-sha256": _EMPTY, "x-amz-date": moment}
    if credentials.token:
        headers["x-amz-security-token"] = credentials.token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    path, _, query = request.target.partition("?")
    canonical = f"{request.method}\n{path}\n{query}\n{lines}\n{names}\n{_EMPTY}"
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret}".encode()
    for part in (moment[:8], region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    proof = f"Credential={credentials.key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return headers | {"Authorization": f"AWS4-HMAC-SHA256 {proof}"}


@dataclass(frozen=True, slots=True)
class StartedUpload:
    """An upload: key in the bucket, its name, and when it began, seconds since 1970."""

    key: str
    name: str
    started: float


@dataclass(frozen=True, slots=True)
class UploadPage:
    """A page of uploads, and where the next begins; None when there is none."""

    uploads: tuple[StartedUpload, ...]
    following: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class PartPage:
    """Bytes of a page of parts, and the number behind which the next begins; empty when there is none."""

    size: int
    following: str


def parse_uploads(raw: bytes) -> UploadPage:
    """Parse ``ListMultipartUploadsResult``.

    Raises
    ------
    FormatError
        If it is none.
    """
    root = _root(raw, "ListMultipartUploadsResult")
    encoded = root.content("EncodingType") == "url"
    uploads = tuple(
        StartedUpload(_key(u, "Key", encoded=encoded), _text(u, "UploadId"), _time(u.content("Initiated")))
        for u in root.iter("Upload")
    )
    if root.content("IsTruncated") != "true":
        return UploadPage(uploads, None)
    following = (_key(root, "NextKeyMarker", encoded=encoded), _text(root, "NextUploadIdMarker"))
    return UploadPage(uploads, following)


def parse_parts(raw: bytes) -> PartPage:
    """Parse ``ListPartsResult``.

    Raises
    ------
    FormatError
        If it is none.
    """
    root = _root(raw, "ListPartsResult", "ListPartsResponse")  # the latter is what moto says
    size = sum(int(_number(part, "Size")) for part in root.iter("Part"))
    return PartPage(size, _number(root, "NextPartNumberMarker") if root.content("IsTruncated") == "true" else "")


def _root(raw: bytes, *tags: str) -> Element:
    root = parse_xml(raw, "the server's answer")
    if root.tag not in tags:
        raise _broken(f"is {root.tag[:40]}, not {tags[0]}")
    return root


def _text(element: Element, tag: str) -> str:
    text = element.content(tag)
    if not 0 < len(text) <= _MOST_NAME:
        raise _broken(f"has no {tag} of usual length")
    return text


def _key(element: Element, tag: str, *, encoded: bool) -> str:
    text = _text(element, tag)
    try:
        return unquote(text.replace("+", " "), errors="strict") if encoded else text
    except UnicodeDecodeError as error:
        raise _broken("has a key that is no text") from error


def _number(element: Element, tag: str) -> str:
    text = element.content(tag)
    if not _DIGITS.fullmatch(text):
        raise _broken(f"says {tag} {text[:40]!r}")
    return text


def _time(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise _broken(f"has the time {text[:40]!r}") from error


def _broken(why: str) -> FormatError:
    return FormatError(
        f"the server's answer {why}", code=Code.METADATA_INVALID, fix=f"ask a server that follows {_SPEC}"
    )
