"""The library icechunk: where it finds a repository, what its errors mean, and a lock around its commits."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn
from urllib.parse import urlsplit

from voxarium.errors import ChecksumError, Code, InputError, NotFoundError, StoreError, UnsupportedError
from voxarium.model.sources import missing_extra

__all__ = ["commits_locked", "icechunk_library", "icechunk_storage", "library_errors", "raise_ours", "s3_options"]


def icechunk_library() -> Any:  # Any: an optional package
    """Return the library, which prints no warnings then.

    Raises
    ------
    UnsupportedError
        If it is not installed.
    """
    try:
        import icechunk
    except ImportError as error:
        raise missing_extra("icechunk", "an Icechunk repository is read by the library of this name") from error
    if "ICECHUNK_LOG" not in os.environ:
        icechunk.set_logs_filter("error")  # it prints on standard output, between ours
    return icechunk


def icechunk_storage(address: str, options: Mapping[str, Any]) -> Any:  # Any: the library's own
    """Return where the library finds a repository.

    Parameters
    ----------
    address : str
        A path of this machine, or an address of S3, Google or Azure.
    options : mapping
        Of the object store: ``anonymous``, and ``config`` with ``endpoint``, ``region``, ``access_key_id`` and so on.

    Raises
    ------
    UnsupportedError
        If it cannot be read from there, or the library is not installed.
    """
    library = icechunk_library()
    parts = urlsplit(address)
    if "://" not in address:
        return library.local_filesystem_storage(address)
    config = {k.lower().removeprefix("aws_"): v for k, v in (options.get("config") or {}).items()}
    prefix = parts.path.strip("/")
    if parts.scheme in ("s3", "s3a"):
        return library.s3_storage(bucket=parts.netloc, prefix=prefix, **s3_options(config), **_s3_keys(config, options))
    if parts.scheme in ("gs", "gcs"):
        return library.gcs_storage(bucket=parts.netloc, prefix=prefix, from_env=True)
    if parts.scheme in ("az", "azure") and (account := _either(config, "account_name", "AZURE_STORAGE_ACCOUNT_NAME")):
        return library.azure_storage(account=account, container=parts.netloc, prefix=prefix, from_env=True)
    raise UnsupportedError(
        f"Icechunk repositories cannot be opened at {parts.scheme}://",
        code=Code.FEATURE_UNSUPPORTED,
        fix="open it by a path, or an address with s3://, gs:// or az:// (with AZURE_STORAGE_ACCOUNT_NAME set)",
    )


def s3_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return how the library reaches a server of S3, from options of ours and the usual variables."""
    endpoint = _either(config, "endpoint", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    region = _either(config, "region", "AWS_REGION", "AWS_DEFAULT_REGION") or "us-east-1"
    found: dict[str, Any] = {"region": region}
    if endpoint:
        found |= {"endpoint_url": endpoint, "allow_http": endpoint.startswith("http://"), "force_path_style": True}
    return found


def _s3_keys(config: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    keys = {k: config[k] for k in ("access_key_id", "secret_access_key", "session_token") if k in config}
    if keys:
        return keys
    known = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
    anonymous = options.get("anonymous")
    if anonymous is None:
        anonymous = not any(os.environ.get(name) for name in known)
    return {"anonymous": True} if anonymous else {"from_env": True}


def _either(config: Mapping[str, Any], option: str, *variables: str) -> str:
    found = config.get(option) or next((v for name in variables if (v := os.environ.get(name))), "")
    return str(found)


@contextlib.contextmanager
def commits_locked(repository: str | os.PathLike[str]) -> Iterator[None]:
    """Let one process at a time commit to a local repository.

    On local file systems the library loses commits that it has acknowledged when several programs commit at once.
    Hold this around `Session.commit`, and around whatever makes or moves branches and tags; the lock is the folder's,
    so it needs no file and ends with the process. Programs that do not hold it are not kept out.

    Raises
    ------
    StoreError
        If the folder cannot be opened.
    """
    import fcntl

    try:
        descriptor = os.open(repository, os.O_RDONLY)
    except OSError as error:
        raise StoreError(
            f"{os.fspath(repository)} could not be opened: {error.strerror}",
            code=Code.STORE_UNREADABLE,
            fix="check the path and the folder's permissions",
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def library_errors(where: str) -> Iterator[None]:
    """Turn errors of the library into ours."""
    try:
        yield
    except icechunk_library().IcechunkError as error:
        raise_ours(error, where)


def raise_ours(error: Exception, where: str) -> NoReturn:
    """Raise the error of ours that an error of the library means."""
    text = " ".join(re.sub(r"[│|]", " ", str(error).partition("context:")[0]).split()).strip("× x")
    leads = re.search(r"url prefix (.+?/), to be able|chunk location \((.+?)\), edit", text)
    if leads is not None or ("virtual chunk" in text and "container" in text):
        place = (leads[1] or leads[2]) if leads else "a place that it does not name"
        raise InputError(
            f"chunks of {where} lie outside of it, at {place}",
            code=Code.KEY_UNSAFE,
            fix=f"if you trust it, allow it: VOXARIUM_REFERENCES={place}, or references= of voxarium.open; the "
            "repository has to declare a container that lies there",
        ) from error
    if "before or at" in text:
        raise NotFoundError(
            f"{where}: {text}", code=Code.VERSION_MISSING, fix="`voxarium versions` lists those it has"
        ) from error
    if "checksum of the object" in text:
        raise ChecksumError(
            f"{where}: {text}",
            code=Code.CHECKSUM_MISMATCH,
            fix="restore the object that the repository refers to, or export it again",
        ) from error
    if "version" in text and "spec" in text:
        raise UnsupportedError(
            f"{where}: {text}", code=Code.FEATURE_UNSUPPORTED, fix="install a later version of icechunk"
        ) from error
    raise StoreError(
        f"{where}: {text}",
        code=Code.STORE_UNREADABLE,
        fix="check the repository and what it refers to; nothing of it is treated as absent",
    ) from error
