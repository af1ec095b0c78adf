"""The protocol of the conformance tests of Zarr: the path of an array in, its elements out.

https://github.com/Bisaloo/zarr-conformance-tests: its tests call a program as ``PROGRAM --array_path=FOLDER`` and
expect the exit status 0 where the array can be read as a whole, any other where not. What is printed is not compared so
far; the program of zarrs prints one element per line in C order, in the form of a fill value of Zarr v3, and so does
this.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Final, TextIO

from voxarium.core.array_opening import open_array
from voxarium.core.uri import open_source_store
from voxarium.errors import VoxariumError
from voxarium.model.box import Box
from voxarium.model.fill import dump_fill

__all__ = ["answer", "array_path", "array_texts"]

_OPTION: Final = "--array_path"
_MOST: Final = 16 << 20  # elements in memory at once, unless a row of chunks has more


def array_path(arguments: Sequence[str]) -> str | None:
    """Return the path that the arguments of a program give; None where these are no arguments of this protocol.

    Examples
    --------
    >>> array_path(["--array_path=a.zarr"]), array_path(["--array_path", "a.zarr"]), array_path(["a.zarr"])
    ('a.zarr', 'a.zarr', None)
    """
    if len(arguments) == 2 and arguments[0] == _OPTION:
        return arguments[1]
    name, found, path = arguments[0].partition("=") if len(arguments) == 1 else ("", "", "")
    return path if name == _OPTION and found else None


def array_texts(path: str | os.PathLike[str]) -> Iterator[str]:
    """Yield the elements of an array in C order, each as the JSON text of a fill value of Zarr v3.

    The array is read in slabs along its first axis: memory holds one row of chunks, or some millions of elements.

    Raises
    ------
    VoxariumError
        If there is no array, or a part of it cannot be read.
    """
    store, folder = open_source_store(path)
    array = open_array(store, folder)
    shape = array.shape
    if not shape:
        yield json.dumps(dump_fill(array.read()[()]))
        return
    row = array.grid.chunk_shape[0]
    step = row * max(1, _MOST // max(1, row * math.prod(shape[1:])))
    for start in range(0, shape[0], step):
        box = Box((start, *(0,) * (len(shape) - 1)), (min(step, shape[0] - start), *shape[1:]))
        for value in array.read(box).flat:
            yield json.dumps(dump_fill(value))


def answer(path: str | os.PathLike[str], out: TextIO | None = None, wrong: TextIO | None = None) -> int:
    """Print the elements of an array, one per line, and return the exit status: 0, or 1 where it cannot be read.

    Parameters
    ----------
    path : str or path
        The folder of an array.
    out, wrong : text file or None
        Where elements and errors go; None = standard output and standard error.
    """
    try:
        for text in array_texts(path):
            (out or sys.stdout).write(text + "\n")
    except VoxariumError as error:
        (wrong or sys.stderr).write(f"error: {error.message}\nfix: {error.fix}\n")
        return 1
    return 0
