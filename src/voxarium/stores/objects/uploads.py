"""Objects of S3 that were begun in parts and never finished: found and given up.

The library that reads and writes has no such requests, so they are made here.
"""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from voxarium.errors import Code, StoreError, UnsupportedError
from voxarium.model.keys import checked_prefix
from voxarium.model.protocols import Upload
from voxarium.spec.s3_uploads import Credentials, Request, parse_parts, parse_uploads, signed

__all__ = ["Uploads"]

_MOST_ANSWER: Final = 32 << 20
_MOST_PAGES: Final = 100_000
_GONE: Final = 404
_NAMES: Final = {
    "key": ("access_key_id",),
    "secret": ("secret_access_key",),
    "token": ("session_token", "token"),
    "region": ("region", "default_region"),
    "endpoint": ("endpoint_url_s3", "endpoint_url", "endpoint"),
    "virtual": ("virtual_hosted_style_request",),
}


class Uploads:
    """The uploads below a prefix of a bucket.

    Parameters
    ----------
    kind, address : str
        ``s3``, and ``s3://bucket/prefix``.
    config : mapping
        Options of the store; what they leave out comes from the environment.
    timeout : float
        Seconds after which a server that sends nothing is given up.

    Raises
    ------
    UnsupportedError
        If uploads cannot be asked for here.
    """

    def __init__(self, kind: str, address: str, config: Mapping[str, Any], timeout: float) -> None:
        self._uri = address
        self._timeout = timeout
        if kind == "gs":
            raise self._unable("Google Cloud Storage is not asked for unfinished uploads")
        self._kind = kind
        parts = urlsplit(address)
        self._bucket, self._prefix = parts.netloc, checked_prefix(parts.path.strip("/"))
        if kind != "s3":
            return
        given = {name: _option(config, names) for name, names in _NAMES.items()}
        if not given["key"] or not given["secret"]:
            raise self._unable("unfinished uploads can be asked for with an access key only, not with a role")
        if given["virtual"].lower() in ("true", "1", "yes"):
            raise self._unable("unfinished uploads cannot be asked for at servers that are named after buckets")
        self._credentials = Credentials(key=given["key"], secret=given["secret"], token=given["token"])
        self._region = given["region"] or "us-east-1"
        self._endpoint = given["endpoint"].rstrip("/") or f"https://s3.{self._region}.amazonaws.com"

    def _unable(self, why: str) -> UnsupportedError:
        return UnsupportedError(
            f"{self._uri}: {why}",
            code=Code.FEATURE_UNSUPPORTED,
            fix="let a lifecycle rule of the bucket remove unfinished uploads after some days",
        )

    def list(self) -> Iterator[Upload]:
        """Yield all uploads; keys are below the prefix."""
        if self._kind != "s3":
            return  # Azure forgets uncommitted blocks after a week, and shows none
        start = f"{self._prefix}/" if self._prefix else ""
        query = {"uploads": "", "prefix": start, "encoding-type": "url"}
        following: tuple[str, str] | None = ("", "")
        for _ in range(_MOST_PAGES):
            if following is None:
                return
            at, name = following
            marks = {"key-marker": at, "upload-id-marker": name} if at else {}
            page = parse_uploads(self._ask("GET", "", query | marks))
            for one in page.uploads:
                if one.key.startswith(start):
                    yield Upload(one.key[len(start) :], one.name, one.started, self._size(one.key, one.name))
            if page.following == following:
                break
            following = page.following
        raise StoreError(
            f"the list of unfinished uploads of {self._uri} does not end",
            code=Code.STORE_UNREADABLE,
            fix="ask whoever runs the server",
        )

    def _size(self, key: str, name: str) -> int:
        """Return the bytes of an upload so far; 0 for one that is gone meanwhile."""
        size, following = 0, "0"
        for _ in range(_MOST_PAGES):
            query = {"uploadId": name} | ({"part-number-marker": following} if following != "0" else {})
            raw = self._ask("GET", key, query, gone=b"")
            if not raw:
                return 0
            page = parse_parts(raw)
            size += page.size
            if not page.following or page.following == following:
                break
            following = page.following
        return size

    def abort(self, upload: Upload) -> None:
        """Give up an upload."""
        if self._kind == "s3":
            key = f"{self._prefix}/{upload.key}" if self._prefix else upload.key
            self._ask("DELETE", key, {"uploadId": upload.name}, gone=b"")

    def _ask(self, method: str, key: str, query: Mapping[str, str], *, gone: bytes | None = None) -> bytes:
        where = urlsplit(self._endpoint)
        path = f"{where.path}/{self._bucket}" + (f"/{key}" if key else "")
        request = Request(method=method, host=where.netloc, path=path, query=query)
        headers = signed(request, self._credentials, self._region, datetime.now(UTC))
        made = urllib.request.Request(
            f"{where.scheme}://{where.netloc}{request.target}", method=method, headers=headers
        )
        try:
            with _OPENER.open(made, timeout=self._timeout) as answer:
                raw: bytes = answer.read(_MOST_ANSWER + 1)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == _GONE and gone is not None:
                    return gone
                raise self._failed(f"HTTP {error.code}", forbidden=error.code in (401, 403)) from None
        except OSError as error:  # the text of the original may hold the signed address
            raise self._failed(type(getattr(error, "reason", error)).__name__) from None
        if len(raw) > _MOST_ANSWER:
            raise self._failed("an answer that is too long")
        return raw

    def _failed(self, why: str, *, forbidden: bool = False) -> StoreError:
        return StoreError(
            f"unfinished uploads of {self._uri} could not be asked for: {why}",
            code=Code.STORE_PERMISSION if forbidden else Code.STORE_UNREADABLE,
            fix="allow s3:ListBucketMultipartUploads, s3:ListMultipartUploadParts and s3:AbortMultipartUpload"
            if forbidden
            else "check the address and the network, then try again",
        )


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A signature is for one server: to send it to another one would be wrong."""

    def redirect_request(self, *_request: Any) -> None:  # Any: a request, and where it should go
        """Go nowhere."""


_OPENER: Final = urllib.request.build_opener(_NoRedirects)


def _option(config: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """Return an option of the store, by any of its names, or what the environment says."""
    given = {str(k).lower().removeprefix("aws_"): str(v) for k, v in config.items()}
    for name in names:
        if given.get(name):
            return given[name]
    return next((v for name in names if (v := os.environ.get(f"AWS_{name.upper()}"))), "")
