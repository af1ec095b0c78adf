"""``voxarium dataset measure``: how far an image that is stored with loss is from the original."""

from __future__ import annotations

from typing import Annotated

import typer

from voxarium.cli.arguments import AsJson, Quiet
from voxarium.cli.dataset import Folder
from voxarium.cli.printing import print_json, say

__all__ = ["measure"]


def measure(
    dataset: Folder,
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="Name or path of the image in the dataset.")],
    original: Annotated[str, typer.Argument(metavar="ORIGINAL", help="What it was made of: the same voxels.")],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Compare every voxel of an image with the original, and note in the log how far apart they are at most."""
    from voxarium.archive.datasets import open_dataset
    from voxarium.archive.lossiness import measure_loss

    folder = open_dataset(dataset)
    known = folder.document.find(image.strip("/"))
    loss = measure_loss(folder.address(image.strip("/") if known is None else known.path), original)
    if as_json:
        print_json(loss.to_json())
    elif not quiet:
        say(f"{loss.voxels:,} voxels differ by {loss.max_error:g} at most, and by {loss.mean_error:.4g} on average")
