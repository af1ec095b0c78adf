"""``voxarium key``: keys that sign checkpoints and releases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from voxarium.cli.arguments import AsJson, Quiet
from voxarium.cli.printing import print_json, say

if TYPE_CHECKING:
    from voxarium.spec.transparency_log import PublicKey

__all__ = ["key_app"]

key_app = typer.Typer(
    name="key", help="Keys that sign checkpoints: make one, show what others need.", no_args_is_help=True
)

_NAME = typer.Argument(metavar="NAME", help="Stands in every signature, such as lab.example.org.")


@key_app.command()
def create(
    name: Annotated[str, _NAME],
    in_keyring: Annotated[
        bool, typer.Option("--keyring", help="Keep the private key in the system's keyring, not in a file.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Make an Ed25519 key and print its public line, which others need to check what it signs.

    The private key is a file that only you may read, in the folder VOXARIUM_KEYS or ~/.config/voxarium/keys. With
    VOXARIUM_KEY_PASSPHRASE it is encrypted.
    """
    from voxarium.archive.keys import create_key
    from voxarium.spec.transparency_log import dump_public_key

    key = create_key(name, in_keyring=in_keyring)
    if as_json:
        print_json(_key_json(key))
    elif not quiet:
        say(dump_public_key(key))


@key_app.command()
def show(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A key of your own; all if not given.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Print the public lines of your keys. Publish them where nobody who can change the dataset can change them."""
    from voxarium.archive.keys import known_keys, public_key
    from voxarium.spec.transparency_log import dump_public_key

    keys = known_keys() if name is None else [public_key(name)]
    if as_json:
        print_json({"keys": [_key_json(k) for k in keys]})
        return
    if quiet:
        return
    for key in keys:
        say(dump_public_key(key))


def _key_json(key: PublicKey) -> dict[str, str]:
    from voxarium.spec.transparency_log import dump_public_key

    return {"name": key.name, "id": key.key_id.hex(), "line": dump_public_key(key)}
