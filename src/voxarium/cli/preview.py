"""``voxarium preview``: a picture of an image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voxarium.cli.arguments import AsJson, Quiet, Uri
from voxarium.cli.printing import print_json, say

__all__ = ["preview"]


def preview(
    uri: Uri,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.png", help="Picture to write.")],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Draw a picture of an image."""
    if as_json:
        print_json({"out": str(out)})
    elif not quiet:
        say(f"{out}: {uri}")
