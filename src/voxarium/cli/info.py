"""``voxarium info``: what is at an address."""

from __future__ import annotations

from typing import Final

from voxarium.cli.arguments import (
    AsJson,
    ByteOffset,
    Quiet,
    SourceDtype,
    SourceFormat,
    SourceOrder,
    SourceShape,
    Uri,
    source_options,
)
from voxarium.cli.printing import print_json, say

__all__ = ["info"]

_MOST_IMAGES: Final = 50  # of a folder, that are described one by one


def info(
    uri: Uri,
    source_format: SourceFormat = None,
    shape: SourceShape = None,
    source_dtype: SourceDtype = None,
    byte_offset: ByteOffset = None,
    source_order: SourceOrder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Describe an image: format, axes, voxel size, levels, chunks, shards, codecs; or what a collection lists.

    With --quiet only the exit code tells whether it can be opened.
    """
    from voxarium.core.dataset import Dataset
    from voxarium.core.image import Image
    from voxarium.core.opening import open as open_any
    from voxarium.core.report import dataset_json, image_json, image_text

    options = source_options(source_format, shape, source_dtype, byte_offset, source_order)
    found = open_any(uri, **options)
    if quiet and not as_json:
        return
    if isinstance(found, Dataset):
        if as_json:
            print_json(dataset_json(found))
        else:
            opened = (found.opened(key) for key in found.keys()[:_MOST_IMAGES])
            say("\n\n".join([repr(found), *(image_text(image) for image in opened if isinstance(image, Image))]))
    elif as_json:
        print_json({**image_json(found), "complete": True})
    else:
        say(image_text(found))
