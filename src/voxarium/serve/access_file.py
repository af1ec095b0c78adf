"""The file about access: which datasets are public, what users and groups may, and where they sign in.

::

    default = "private"

    [datasets]
    "lab/published" = "public"

    [users]
    "ada@example.org" = ["annotate:lab/em", "read:*"]

    [groups]
    "emlab" = ["read:lab"]

    [oidc]
    issuer = "https://login.example.org"
    client_id = "voxarium"
    client_secret_file = "/etc/voxarium/oidc-secret"
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from voxarium.errors import Code, InputError
from voxarium.serve.access import Grants, Rules

__all__ = ["AccessFile", "Oidc", "parse_grant", "read_access_file"]

_LARGEST: Final = 4 << 20
_WORDS: Final = {"public": True, "private": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Oidc:
    """Where people sign in.

    Parameters
    ----------
    issuer : str
        URL; ``/.well-known/openid-configuration`` lies below it.
    client_id, client_secret : str
        What the provider knows this server by; the secret may be empty.
    scopes : str
        What is asked for.
    groups_claim : str
        Claim that names groups.
    name : str
        Of the provider, for people.
    """

    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    scopes: str = "openid email profile"
    groups_claim: str = "groups"
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessFile:
    """What the file says.

    Parameters
    ----------
    public : bool or None
        Whether datasets are public that no rule is about; None when it does not say.
    datasets : mapping
        Address → whether it is public.
    users, groups : mapping
        Name → grants, each (scope, address).
    oidc : Oidc or None
        Where people sign in.
    """

    public: bool | None = None
    datasets: Mapping[str, bool] = field(default_factory=dict)
    users: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    groups: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    oidc: Oidc | None = None

    def grants(self, names: Iterable[str]) -> Grants:
        """Return what people were granted, by ``user:NAME`` and ``group:NAME``."""
        granted: list[tuple[str, str]] = []
        for name in names:
            kind, _, bare = name.partition(":")
            granted.extend((self.users if kind == "user" else self.groups).get(bare, ()))
        return Grants.of(granted)


def parse_grant(text: str) -> tuple[str, str]:
    """Return scope and address of ``read:lab/em``.

    Raises
    ------
    InputError
        If it is none.

    Examples
    --------
    >>> parse_grant("annotate:lab/scan.lif::/3")
    ('annotate', 'lab/scan.lif::/3')
    """
    scope, colon, address = text.partition(":")
    if not colon or not address.strip("/:"):
        raise InputError(
            f"{text[:80]!r} grants nothing", code=Code.ARGUMENT_INVALID, fix="write SCOPE:ADDRESS, such as read:lab/em"
        )
    Grants.of([(scope, address)])
    return scope, address


def read_access_file(path: str) -> AccessFile:
    """Read the file.

    Raises
    ------
    InputError
        If it cannot be read, or says something that is not known here.
    """
    try:
        with open(path, "rb") as file:
            raw = file.read(_LARGEST + 1)
        if len(raw) > _LARGEST:
            raise _wrong(path, "it is too large")
        document = tomllib.loads(raw.decode())
    except OSError as error:
        raise _wrong(path, error.strerror or "it cannot be read") from error
    except (ValueError, RecursionError) as error:
        raise _wrong(path, f"it is no TOML: {error}") from error
    unknown = set(document) - {"default", "datasets", "users", "groups", "oidc"}
    if unknown:
        raise _wrong(path, f"nothing is known of {', '.join(sorted(unknown))}")
    try:
        parsed = AccessFile(
            public=None if "default" not in document else _WORDS[document["default"]],
            datasets={str(name): _WORDS[word] for name, word in _table(document, "datasets").items()},
            users=_granted(_table(document, "users")),
            groups=_granted(_table(document, "groups")),
            oidc=None if "oidc" not in document else _oidc(path, _table(document, "oidc")),
        )
        Rules(datasets=parsed.datasets)
    except InputError as error:
        raise _wrong(path, error.message) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise _wrong(path, "datasets are public or private; users and groups have lists of grants") from error
    return parsed


def _wrong(path: str, why: str) -> InputError:
    return InputError(
        f"the file about access {path}: {why}",
        code=Code.ARGUMENT_INVALID,
        fix="see docs/how-to/share-privately.md for what it says",
    )


def _table(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name, {})
    if not isinstance(found, dict):
        raise TypeError(name)
    return found


def _granted(table: Mapping[str, Any]) -> dict[str, tuple[tuple[str, str], ...]]:
    return {name: tuple(parse_grant(text) for text in texts) for name, texts in table.items()}


def _oidc(path: str, table: Mapping[str, Any]) -> Oidc:
    """Return the provider; its secret stands in a file or in the environment, not among what people read."""
    given = {key: value for key, value in table.items() if isinstance(value, str)}
    file, variable = given.pop("client_secret_file", None), given.pop("client_secret_env", None)
    if len(given) + (file is not None) + (variable is not None) != len(table) or "client_secret" in given:
        raise _wrong(path, "what it says of oidc are texts, with the secret in client_secret_file or client_secret_env")
    secret = ""
    if file is not None:
        try:
            with open(os.path.join(os.path.dirname(os.path.abspath(path)), file), encoding="utf-8") as opened:
                secret = opened.read(4096).strip()
        except (OSError, ValueError) as error:
            raise _wrong(path, f"{file} cannot be read") from error
    elif variable is not None:
        secret = os.environ.get(variable, "")
    try:
        return Oidc(**given, client_secret=secret)
    except TypeError as error:
        raise _wrong(path, "oidc has issuer and client_id, and may have scopes, groups_claim and name") from error
