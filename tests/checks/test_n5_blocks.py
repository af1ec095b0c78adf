"""Blocks of N5 that hold less than the array has there are found, though they can be read."""

from __future__ import annotations

import struct

import pytest

from voxarium.core.array_opening import open_array
from voxarium.formats.n5 import N5Driver
from voxarium.model.checks import ObjectCheckDriver
from voxarium.stores.memory import MemoryStore
from voxarium.validation.examples.n5 import BASES

DRIVER = N5Driver()


def checked(tree, key, index):
    store = MemoryStore(tree)
    return DRIVER.check_object(store, "em", open_array(store, "em").info, key, index)


def test_a_driver_of_n5_looks_at_objects():
    assert isinstance(DRIVER, ObjectCheckDriver)


@pytest.mark.parametrize(("key", "index"), [("em/0/0/0", (0, 0, 0)), ("em/1/1/1", (1, 1, 1)), ("em/9/9/9", (0, 0, 0))])
def test_whole_blocks_blocks_cut_at_the_end_and_absent_ones_are_fine(key, index):
    assert checked(BASES["n5-container"](), key, index) == ()


def test_padded_blocks_at_the_end_are_fine():
    whole = struct.pack(">HHIII", 0, 3, 4, 3, 2) + bytes(48)
    assert checked({**BASES["n5-container"](), "em/1/1/1": whole}, "em/1/1/1", (1, 1, 1)) == ()


def test_a_block_that_leaves_voxels_out_is_found():
    small = struct.pack(">HHIII", 0, 3, 4, 2, 2) + bytes(32)
    found = checked({**BASES["n5-container"](), "em/0/0/0": small}, "em/0/0/0", (0, 0, 0))
    assert found == (
        (
            "holds (2, 2, 4) elements, the array has (2, 3, 4) there",
            "write the block again from its source: what it leaves out reads as zeros",
        ),
    )
