"""``voxarium versions``: what can stand behind the ``@`` of an address."""

from __future__ import annotations

import itertools
from typing import Annotated

import typer

from voxarium.cli.arguments import AsJson, Quiet
from voxarium.cli.printing import print_json, say

__all__ = ["versions"]


def versions(
    uri: Annotated[
        str, typer.Argument(metavar="URI", help="A dataset with releases, an Icechunk repository, an OCDBT database.")
    ],
    most: Annotated[
        int | None, typer.Option("--most", min=1, metavar="N", help="Stop after N of them; all if not given.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """List the versions of what is at an address, newest first: releases, tags, branches, snapshots, generations.

    Each opens as URI@NAME, and what is in it as URI@NAME/PATH.
    """
    from voxarium.core.uri import open_folder
    from voxarium.core.versioned import iter_versions

    found = itertools.islice(iter_versions(uri, open_folder), most)
    if as_json:
        print_json({"uri": uri, "versions": [v.to_json() for v in found]})
        return
    if quiet:
        next(found, None)  # which fails where there are no versions at all
        return
    for v in found:
        facts = ", ".join(f"{k} {x}" for k, x in v.facts.items() if x is not None)
        message = " ".join(v.message.split())
        say("  ".join(p for p in (f"{v.name:24}", f"{v.kind:10}", v.time, message, f"({facts})" if facts else "") if p))
