"""``voxarium info``: what is at an address."""

from __future__ import annotations

from typing import Any

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
    """Describe an image: format, axes, voxel size, levels, chunks, shards, codecs.

    With --quiet only the exit code tells whether it can be opened.
    """
    from voxarium.core.dataset import Dataset
    from voxarium.core.opening import open as open_any
    from voxarium.core.report import image_json, image_text

    options = source_options(source_format, shape, source_dtype, byte_offset, source_order)
    found = open_any(uri, **options)
    if quiet and not as_json:
        return
    if isinstance(found, Dataset):
        if as_json:
            print_json(_dataset_json(found))
        else:
            say("\n\n".join([repr(found), *(image_text(found[key]) for key in found)]))
    elif as_json:
        print_json({**image_json(found), "complete": True})
    else:
        say(image_text(found))


def _dataset_json(dataset: Any) -> dict[str, Any]:  # Any: Dataset, which is not imported for --help
    from voxarium.core.report import image_json

    images = [{"key": key, **image_json(dataset[key])} for key in dataset]
    uri = "/".join(p for p in (dataset.store.uri, dataset.path) if p)
    return {"format": "dataset", "uri": uri, "complete": True, "images": images}
