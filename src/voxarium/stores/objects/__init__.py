"""Object stores: Amazon S3 and what speaks its protocol, Google Cloud Storage, Azure Blob Storage.

Credentials and the endpoint come from the usual environment variables (``AWS_ACCESS_KEY_ID``,
``AWS_ENDPOINT_URL``, ``AWS_REGION``, ``GOOGLE_APPLICATION_CREDENTIALS``, ``AZURE_STORAGE_ACCOUNT_NAME`` …) or
from options. Objects of these stores appear whole by nature. A process that is killed amid a large
object leaves an unfinished multipart upload, which is invisible but costs money: ``voxarium release gc`` finds those of
a dataset, and a lifecycle rule of the bucket removes them by itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast
from urllib.parse import urlsplit

from typing_extensions import Buffer

from voxarium.errors import Code, InputError, UnsupportedError
from voxarium.model.keys import checked_key, checked_prefix, natural_key
from voxarium.model.protocols import ObjectStat, ObjectWriter, Upload
from voxarium.stores import (
    RemoteReader,
    client_options,
    http_status,
    object_stat,
    remote_error,
    retry_config,
)
from voxarium.stores.objects.uploads import Uploads
from voxarium.stores.objects.writer import ObjectUpload

if TYPE_CHECKING:
    import obstore

__all__ = ["ObjectStore"]

_Names: TypeAlias = tuple[list[str], list[str]]  # inside the class, `list` is a method

_SINGLE_PUT: Final = 256 << 20  # larger objects are sent in parts
_KINDS: Final = {
    "s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az", "azure": "az", "abfs": "az", "abfss": "az",
}  # fmt: skip
# Without any of these there is nothing to sign with, and asking the cloud's metadata service from outside
# that cloud only costs time. Inside it, anonymous=False makes use of the machine's own role.
_SIGNS: Final = {
    "s3": (
        "AWS_ACCESS_KEY_ID",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ),
    "gs": (
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_SERVICE_ACCOUNT",
        "GOOGLE_SERVICE_ACCOUNT_PATH",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
    ),
    "az": (
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_ACCESS_KEY",
        "AZURE_STORAGE_SAS_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_STORAGE_CLIENT_ID",
        "AZURE_CLIENT_ID",
        "AZURE_STORAGE_TOKEN",
        "AZURE_STORAGE_USE_EMULATOR",
        "AZURE_FEDERATED_TOKEN_FILE",
    ),
}
_SIGNING_OPTIONS: Final = ("key", "secret", "token", "sas", "credential", "service_account", "client_id")


class ObjectStore(RemoteReader):
    """A prefix of a bucket.

    Parameters
    ----------
    uri : str
        ``s3://bucket/prefix``, ``gs://bucket/prefix`` or ``az://container/prefix``.
    anonymous : bool or None
        Send requests unsigned, as for public data. None: unsigned when no credentials are configured.
    config : mapping
        Options of obstore's store, such as ``endpoint``, ``region``, ``access_key_id``, ``account_name``.
    timeout : float
        Seconds after which a server that sends nothing is given up.
    retries : int
        How often a failed request is repeated, with growing pauses.
    forbidden_is_absent : bool
        Take 401 and 403 as "absent": public buckets that may not be listed answer so for absent objects.
    part_size : int
        Bytes per part of a large object; also how much of an object is kept before sending starts.
    """

    def __init__(
        self,
        uri: str,
        *,
        anonymous: bool | None = None,
        config: Mapping[str, Any] | None = None,  # Any: text or bool, as the option wants
        timeout: float = 30.0,
        retries: int = 4,
        forbidden_is_absent: bool = False,
        part_size: int = 8 << 20,
    ) -> None:
        from obstore.store import from_url

        kind, address = _parsed(uri)
        options = dict(config or {})
        unsigned = _unsigned(kind, options) if anonymous is None else anonymous
        if unsigned:
            options["skip_signature"] = True
        self._arguments: dict[str, Any] = {  # Any: options of several types
            "anonymous": anonymous,
            "config": dict(config or {}),
            "timeout": timeout,
            "retries": retries,
            "forbidden_is_absent": forbidden_is_absent,
            "part_size": part_size,
        }
        self._given = uri
        self.part_size = max(part_size, 5 << 20)  # S3 takes no smaller parts
        self._bucket_seen = False
        try:
            client = from_url(
                address,
                config=cast("Any", options),
                client_options=cast("Any", client_options(timeout, allow_http=_plain_http(kind, options))),
                retry_config=cast("Any", retry_config(retries)),
            )
        except Exception:  # noqa: BLE001  obstore raises several kinds; their text may hold secrets
            raise InputError(
                f"the options given for {address} cannot be used",
                code=Code.URI_INVALID,
                fix="check the bucket's name, the endpoint and the names of the options",
            ) from None
        super().__init__(client, address, forbidden_is_absent=forbidden_is_absent)

    @classmethod
    def from_uri(cls, uri: str, **options: Any) -> ObjectStore:
        """Return the store of an ``s3://``, ``gs://`` or ``az://`` address."""
        return cls(uri, **options)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (self._given, self._arguments))

    # ------------------------------------------------------------------------------------------------ reading
    def _request(self, key: str, **options: Any) -> obstore.GetResult | None:  # Any: obstore's GetOptions
        result = super()._request(key, **options)
        self._bucket_seen = True  # it would have raised otherwise
        return result

    def stat(self, key: str, /) -> ObjectStat | None:
        """Return size and ETag or version of an object."""
        found = super().stat(key)
        if found is None and not self._bucket_seen:
            # HEAD answers 404 without saying whether the key or the whole bucket is missing.
            return self._probe(key)
        self._bucket_seen = True
        return found

    def _probe(self, key: str) -> ObjectStat | None:
        import obstore

        try:
            result = self._request(key)
        except (OSError, obstore.exceptions.BaseError) as error:
            raise remote_error(error, self._name(key)) from None  # the original tells secrets
        return None if result is None else object_stat(result.meta)

    def modified(self, key: str, /) -> float | None:
        """Return when an object was written, by the clock of the server."""
        import obstore

        name = checked_key(key)
        try:
            return obstore.head(self._client, name)["last_modified"].timestamp()
        except (OSError, obstore.exceptions.BaseError) as error:
            if self._is_absent(error):
                return None
            raise remote_error(error, self._name(key)) from None  # the original tells secrets

    def list(self, prefix: str = "", /) -> Iterator[tuple[str, int]]:
        """Yield (key, size) below a folder, as the server orders them (by key)."""
        import obstore

        folder = checked_prefix(prefix)
        try:
            for page in obstore.list(self._client, folder or None, chunk_size=1000):
                for meta in page:
                    yield meta["path"], meta["size"]
        except (OSError, obstore.exceptions.BaseError) as error:
            raise remote_error(error, f"the listing of {self._name(folder)}") from None  # see above

    def list_dir(self, prefix: str = "", /) -> _Names:
        """Return (object names, folder names) directly in a folder, each sorted naturally."""
        import obstore

        folder = checked_prefix(prefix)
        try:
            found = obstore.list_with_delimiter(self._client, folder or None)
        except (OSError, obstore.exceptions.BaseError) as error:
            raise remote_error(error, f"the listing of {self._name(folder)}") from None  # see above
        names = {meta["path"].rpartition("/")[2] for meta in found["objects"]}
        folders = {path.rstrip("/").rpartition("/")[2] for path in found["common_prefixes"]}
        return sorted(names, key=natural_key), sorted(folders, key=natural_key)

    # ------------------------------------------------------------------------------------------------ writing
    def put(self, key: str, data: Buffer, /) -> None:
        """Store an object, replacing any."""
        import obstore

        key, view = checked_key(key), memoryview(data).cast("B")
        try:
            if view.nbytes <= _SINGLE_PUT:
                obstore.put(self._client, key, view, use_multipart=False)
            else:
                obstore.put(self._client, key, view, use_multipart=True, chunk_size=32 << 20, max_concurrency=4)
        except (OSError, obstore.exceptions.BaseError) as error:
            raise remote_error(error, self._name(key), writing=True) from None  # the original tells secrets

    def put_typed(self, key: str, data: Buffer, media_type: str, /) -> None:
        """Store an object that browsers are to be told the type of, replacing any."""
        import obstore

        key, view = checked_key(key), memoryview(data).cast("B")
        attributes = {"Content-Type": media_type}
        try:
            obstore.put(self._client, key, view, attributes=attributes, use_multipart=view.nbytes > _SINGLE_PUT)
        except (OSError, obstore.exceptions.BaseError) as error:
            raise remote_error(error, self._name(key), writing=True) from None  # see `put`

    def put_if_absent(self, key: str, data: Buffer, /) -> bool:
        """Store an object unless the key exists, decided by the server (``If-None-Match: *``)."""
        return self._put_conditionally(key, data, "create", "store an object only if it is absent")

    def get_tagged(self, key: str, /) -> tuple[bytes, object] | None:
        """Return a whole object and its ETag and version."""
        import obstore

        key = checked_key(key)
        try:
            result = self._request(key)
            if result is None:
                return None
            tag = {"e_tag": result.meta["e_tag"], "version": result.meta["version"]}
            return bytes(result.bytes()), {name: value for name, value in tag.items() if value is not None}
        except (OSError, obstore.exceptions.BaseError) as error:
            raise remote_error(error, self._name(key)) from None  # the original tells secrets

    def put_tagged(self, key: str, data: Buffer, tag: object, /) -> bool:
        """Replace an object if it has this ETag, decided by the server (``If-Match``)."""
        return self._put_conditionally(key, data, tag, "replace an object only if it is the one that was read")

    def _put_conditionally(self, key: str, data: Buffer, mode: object, what: str) -> bool:
        import obstore

        errors = obstore.exceptions
        key, view = checked_key(key), memoryview(data).cast("B")
        try:
            obstore.put(self._client, key, view, mode=cast("Any", mode), use_multipart=False)
        except (errors.AlreadyExistsError, errors.PreconditionError):
            return False
        except (OSError, errors.BaseError) as error:
            if http_status(error) == 501 or isinstance(error, errors.NotSupportedError):
                raise UnsupportedError(
                    f"{self._uri} cannot {what}",
                    code=Code.FEATURE_UNSUPPORTED,
                    fix="use a server that knows conditional writes; let one writer at a time work here",
                ) from None
            raise remote_error(error, self._name(key), writing=True) from None  # the original tells secrets
        return True

    def create(self, key: str, /) -> ObjectWriter:
        """Begin an object that is sent in parts while it is written; memory holds a few parts."""
        return ObjectUpload(self, checked_key(key))

    @property
    def client(self) -> Any:  # Any: obstore's store
        """What sends and receives."""
        return self._client

    def name_of(self, key: str) -> str:
        """Return what to call an object in messages."""
        return self._name(key)

    def list_uploads(self) -> Iterator[Upload]:
        """Yield objects that were begun in parts and neither finished nor given up.

        Raises
        ------
        UnsupportedError
            If this kind of store cannot be asked, or the credentials are not such that can sign the question.
        """
        return self._uploads().list()

    def abort_upload(self, upload: Upload, /) -> None:
        """Give up an object that was begun in parts, so that these are removed."""
        self._uploads().abort(upload)

    def _uploads(self) -> Uploads:
        kind, address = _parsed(self._given)
        timeout = float(self._arguments["timeout"])
        return Uploads(kind, address, self._arguments["config"], timeout)

    def delete(self, key: str, /) -> None:
        """Remove an object."""
        import obstore

        key = checked_key(key)
        try:
            obstore.delete(self._client, key)
        except (OSError, obstore.exceptions.BaseError) as error:
            if http_status(error) != 404 or "NoSuchBucket" in str(error):
                raise remote_error(error, self._name(key), writing=True) from None  # see above


def _rebuild(uri: str, options: dict[str, Any]) -> ObjectStore:  # Any: the options of the class
    return ObjectStore(uri, **options)


def _parsed(uri: str) -> tuple[str, str]:
    """Return the kind of store and its plain address."""
    parts = urlsplit(uri)
    kind = _KINDS.get(parts.scheme)
    if kind is None or not parts.netloc or "@" in parts.netloc or parts.query or parts.fragment:
        raise InputError(
            f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path} is not the address of a bucket",
            code=Code.URI_INVALID,
            fix="write s3://bucket/prefix (gs://, az://); give credentials by environment or options",
        )
    prefix = checked_prefix(parts.path.strip("/"))
    return kind, f"{kind}://{parts.netloc}/{prefix}".rstrip("/")


def _unsigned(kind: str, options: Mapping[str, Any]) -> bool:  # Any: option values are not looked at
    return not (
        any(os.environ.get(name) for name in _SIGNS[kind])
        or any(word in name.lower() for name in options for word in _SIGNING_OPTIONS)
        or (
            kind == "gs" and os.path.exists(os.path.expanduser("~/.config/gcloud/application_default_credentials.json"))
        )
    )


def _plain_http(kind: str, options: Mapping[str, Any]) -> bool:  # Any: option values are text here
    """Tell whether the user named an unencrypted endpoint; without that, only HTTPS is spoken."""
    names = {
        "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
        "az": ("AZURE_STORAGE_ENDPOINT",),
    }
    given = [str(v) for k, v in options.items() if "endpoint" in k.lower() or "url" in k.lower()]
    given += [os.environ.get(name, "") for name in names.get(kind, ())]
    return any(v.lower().startswith("http://") for v in given) or "AZURE_STORAGE_USE_EMULATOR" in os.environ
