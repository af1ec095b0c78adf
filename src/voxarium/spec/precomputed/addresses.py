"""Paths in an ``info``: relative to its folder, never out of the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from voxarium.errors import Code, FormatError, InputError, UnsupportedError
from voxarium.model.keys import checked_key

__all__ = ["follow_redirect", "level_names", "resolve_folder"]

_SCHEME: Final = "precomputed://"
_PIPELINE: Final = "|neuroglancer-precomputed:"


def _normalised(folder: str, relative: str) -> list[str] | None:
    """Return the parts of a path relative to a folder; None when it leads out of the root."""
    parts = [p for p in folder.split("/") if p]
    for part in relative.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return parts


def resolve_folder(folder: str, relative: str, what: str) -> str:
    """Return the path of something an ``info`` in `folder` names; `what` is for messages.

    Raises
    ------
    FormatError
        If it leaves the store, or is no path.

    Examples
    --------
    >>> resolve_folder("a/em", "../seg/8_8_40", "scale")
    'a/seg/8_8_40'
    """
    parts = None if relative.startswith("/") or "://" in relative else _normalised(folder, relative)
    if parts is not None:
        path = "/".join(parts)
        try:
            return checked_key(path) if path else ""
        except InputError:
            pass
    raise FormatError(
        f"{what} of {folder or 'the root'} is {relative[:200]!r}, which is no path inside the store",
        code=Code.KEY_UNSAFE,
        fix="open the folder it names by its own address, or correct the info document",
    )


def follow_redirect(folder: str, target: str, store_uri: str) -> str:
    """Return the folder a redirect leads to: a relative path, or an address inside the same store.

    Raises
    ------
    UnsupportedError
        If it leads to another store; addresses that only metadata name are not fetched unasked.
    FormatError
        If it leaves the store by ``..``.
    """
    plain = target.removeprefix(_SCHEME).partition(_PIPELINE)[0].rstrip("/")
    inside = f"{store_uri.rstrip('/')}/"
    if "://" in plain:
        if not f"{plain}/".startswith(inside) or ".." in plain:
            raise UnsupportedError(
                f"the info of {folder or store_uri} redirects to {target[:500]}, which is not followed unasked",
                code=Code.FEATURE_UNSUPPORTED,
                fix=f"open {plain[:500]} if you trust it",
            )
        return resolve_folder("", plain.removeprefix(inside.rstrip("/")).strip("/"), "the redirect")
    return resolve_folder(folder, plain, "the redirect")


def level_names(keys: Sequence[str]) -> tuple[str, ...]:
    """Return a path below the volume for each scale, unique and safe: its key, where that will do.

    Keys may lead out of the volume's folder (``../other/8_8_40``); levels of an image are named below it.

    Examples
    --------
    >>> level_names(["8_8_8", "../other/8_8_8", "./16_16_16"])
    ('8_8_8', 'other/8_8_8', '16_16_16')
    """
    out: list[str] = []
    for i, key in enumerate(keys):
        name = "/".join(p for p in key.split("/") if p not in ("", ".", "..")) or f"scale{i}"
        try:
            checked_key(name)
        except InputError:
            name = f"scale{i}"
        out.append(name if name not in out else f"{name}@{i}")
    return tuple(out)
