"""``voxarium token``: what lets people and programs see private datasets of a server."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from voxarium.cli.arguments import AsJson, Quiet
from voxarium.cli.printing import note, print_json, printable, say
from voxarium.errors import Code, InputError

if TYPE_CHECKING:
    from voxarium.serve.database import Database
    from voxarium.serve.database.tokens import Token

__all__ = ["DatabaseOption", "opened", "person", "token_app", "when"]

token_app = typer.Typer(
    name="token", help="Tokens for private datasets of a server: make, list, revoke, share.", no_args_is_help=True
)

DatabaseOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|URL", help="The server's database; VOXARIUM_DATABASE, or a file of your own, if not given."
    ),
]
Expires = Annotated[
    str, typer.Option(metavar="TIME", help="How long it holds: 12h, 30d, a date (2027-01-31), or never.")
]
Bare = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing else than what is not shown again.")]
_SPAN: Final = re.compile(r"([1-9][0-9]{0,5})(m|h|d|w)")
_SECONDS: Final = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@contextmanager
def opened(address: str | None, *, create: bool = False) -> Iterator[Database]:
    """Open the database of a server."""
    from voxarium.serve.database import default_database, open_database

    database = open_database(address or default_database(), create=create)
    try:
        yield database
    finally:
        database.close()


def person() -> str:
    """Return who calls the program, for the log."""
    import getpass

    try:
        return f"user:{getpass.getuser()}"
    except (OSError, KeyError):
        return "user:unknown"


def _expiry(text: str) -> float | None:
    """Return seconds since 1970; None = never."""
    if text == "never":
        return None
    match = _SPAN.fullmatch(text)
    if match is not None:
        return time.time() + int(match[1]) * _SECONDS[match[2]]
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"{text!r} is no time", code=Code.ARGUMENT_INVALID, fix="write 12h, 30d, 4w, 2027-01-31 or never"
        ) from error
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()


def when(seconds: float | None, otherwise: str = "never") -> str:
    """Return a time for people, in UTC."""
    return otherwise if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _document(token: Token) -> dict[str, Any]:
    times = {"created": token.created_at, "expires": token.expires_at, "revoked": token.revoked_at}
    times["last_used"] = token.last_used_at
    stamps = {
        name: None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
        for name, at in times.items()
    }
    grants = [f"{scope}:{address}" for scope, address in token.grants]
    about = {"id": token.id, "name": token.name, "kind": token.kind, "may": grants, "created_by": token.created_by}
    return {**about, **stamps, "valid": token.valid(time.time())}


@token_app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is, or what it is for.")],
    may: Annotated[
        list[str],
        typer.Option(
            metavar="SCOPE:ADDRESS",
            help="read, annotate, edit, publish or admin, and of what: read:lab/em.zarr, 'read:*'. Repeat it for more.",
        ),
    ],
    expires: Expires = "90d",
    database: DatabaseOption = None,
    as_json: AsJson = False,
    quiet: Bare = False,
) -> None:
    """Make a token and print it. It is shown this once: only a hash of it is kept."""
    from voxarium.serve.access_file import parse_grant
    from voxarium.serve.database.tokens import create_token

    granted = [parse_grant(text) for text in may]
    until = _expiry(expires)
    with opened(database, create=True) as found:
        text, token = create_token(found, name, granted, expires_at=until, created_by=person())
    if as_json:
        print_json({"token": text, **_document(token)})
        return
    say(text)
    if not quiet:
        whose = f"token {token.id} for {printable(name)}"
        note("note", f"{whose} holds until {when(until)}; it is not shown again", "green")


@token_app.command("list")
def list_(
    all_: Annotated[bool, typer.Option("--all", help="Also those that are no longer valid.")] = False,
    database: DatabaseOption = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """List tokens: what they allow, until when, and when they were used last."""
    from voxarium.serve.database.tokens import list_tokens

    with opened(database) as found:
        tokens = [t for t in list_tokens(found) if all_ or t.valid(time.time())]
    if as_json:
        print_json({"tokens": [_document(t) for t in tokens]})
        return
    if quiet:
        return
    for token in tokens:
        grants = " ".join(f"{scope}:{address}" for scope, address in token.grants)
        state = f"until {when(token.expires_at, 'it is revoked')}"
        if token.revoked_at is not None:
            state = f"revoked {when(token.revoked_at)}"
        used = when(token.last_used_at, "never")
        say(f"{token.id}  {printable(token.name)}  {token.kind}  {printable(grants)}  {state}  used {used}")


@token_app.command()
def revoke(
    ids: Annotated[list[str], typer.Argument(metavar="ID…", help="As `voxarium token list` prints them.")],
    database: DatabaseOption = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Make tokens invalid, for ever. Servers notice within five seconds."""
    from voxarium.serve.database.tokens import revoke_token

    with opened(database) as found:
        tokens = [revoke_token(found, identifier, by=person()) for identifier in ids]
    if as_json:
        print_json({"revoked": [t.id for t in tokens]})
        return
    if quiet:
        return
    for token in tokens:
        say(f"{token.id}  {printable(token.name)}  revoked")


@token_app.command()
def share(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Of a dataset, as the server's page shows it.")],
    server: Annotated[str, typer.Option("--server", metavar="URL", help="Address of the server.")],
    expires: Expires = "30d",
    name: Annotated[str, typer.Option(metavar="NAME", help="For whom, or what for.")] = "",
    database: DatabaseOption = None,
    as_json: AsJson = False,
    quiet: Bare = False,
) -> None:
    """Make a token that reads one dataset, and print a link with it. Whoever has the link sees the dataset."""
    from voxarium.serve.access import place_of
    from voxarium.serve.addresses import quoted
    from voxarium.serve.database.tokens import create_token

    if not place_of(address):
        raise InputError(
            "one dataset is shared at a time", code=Code.ARGUMENT_INVALID, fix="name it: lab/em.zarr, or a root"
        )
    until = _expiry(expires)
    with opened(database, create=True) as found:
        text, token = create_token(
            found, name or f"link to {address}", [("read", address)], expires_at=until, kind="sharing",
            created_by=person(),
        )  # fmt: skip
    base = f"{server.rstrip('/')}/t/{text}"
    # Of a part of a file, only the part is shared.
    files = "as/ome-zarr-0.5" if "::" in address else "raw"
    links = {"view": f"{base}/view/{quoted(address)}", "url": f"{base}/{files}/{quoted(address)}"}
    if as_json:
        print_json({"token": text, **links, **_document(token)})
        return
    say(links["view"])
    if not quiet:
        note("note", f"token {token.id} holds until {when(until)}; the link is not shown again", "green")
