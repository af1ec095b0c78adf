"""The definition: test vectors of the reference page, computed by the package and by an implementation of its own."""

from __future__ import annotations

import importlib.util
import re
import struct
from pathlib import Path

import blake3
import numpy as np
import pytest

import voxarium
from voxarium.model.axes import Axis
from voxarium.model.box import Box
from voxarium.model.transforms import Scale, Translation

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "logical-digest.md"


def beside(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


slow = beside("slow")
array_of = beside("arrays").array_of

# (type, stored shape, axes)
VECTORS = (
    ("uint8", (3, 5, 7), ""),
    ("uint8", (3, 5, 7), "zyx"),
    ("uint8", (3, 5, 7), "xyz"),
    ("uint8", (1, 1, 3, 5, 7), "tczyx"),
    ("uint16", (2, 130, 3), ""),
    ("int16", (130, 2, 131), "zyx"),
    ("int64", (2, 3, 4, 67), "zyxc"),
    ("uint32", (2, 2, 2, 65, 3), "tczyx"),
    ("uint64", (3, 514), ""),
    ("int32", (5,), ""),
    ("int8", (1, 1), ""),
    ("float16", (4, 3, 2), ""),
    ("float32", (66, 1, 3, 2), "zyxt"),
    ("float64", (3, 0, 5), ""),
    ("complex64", (3, 2), "yx"),
    ("complex128", (2, 2, 2), ""),
)
SCALE = {"z": 40.0, "y": 8.0, "x": 8.0, "t": 0.5, "c": 1.0}
TRANSLATION = {"z": 100.0, "y": 4.0, "x": -12.0, "t": 0.0, "c": 0.0}
UNITS = {"z": "nanometer", "y": "nanometer", "x": "nanometer", "t": "second", "c": None}
TYPES = {"t": "time", "c": "channel"}
CODES = dict(zip(("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"), "BHIQbhiq", strict=True))
CODES |= {"float16": "e", "float32": "f", "float64": "d", "complex64": "f", "complex128": "d"}


def numbers(shape, name):
    i = range(int(np.prod(shape)))
    lower = 0 if "int" in name else 100.5
    return [(31 * k * k + 7 * k + 3) % 251 - lower for k in i]


def image_of(name, shape, axes):
    values = numbers(shape, name)
    data = np.array(values, np.float64 if "int" not in name else np.int64).astype(name).reshape(shape)
    if not axes:
        return array_of(data)
    described = tuple(Axis(name=n, type=TYPES.get(n, "space"), unit=UNITS[n]) for n in axes)
    placed = Scale(tuple(SCALE[n] for n in axes)).then(Translation(tuple(TRANSLATION[n] for n in axes)))
    return array_of(data, described, transform=placed)


def slow_digests(name, shape, axes):
    values = numbers(shape, name)
    if name.startswith("int"):
        bits = 8 * struct.calcsize(CODES[name])
        values = [(v + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1) for v in values]
    pack = struct.Struct("<" + CODES[name]).pack
    voxels = [pack(v) + (pack(0.0) if name.startswith("complex") else b"") for v in values]
    if not axes:
        return slow.content(name, shape, voxels, range(len(shape))), None
    typed = [(n, TYPES.get(n, "space"), UNITS[n]) for n in axes]
    order = slow.canonical_order([a[:2] for a in typed])
    content = slow.content(name, shape, voxels, order)
    scale, translation = [SCALE[n] for n in axes], [TRANSLATION[n] for n in axes]
    return content, slow.bound(content, typed, shape, scale, translation, order)


def table():
    lines = ["| type | stored shape | axes | content | bound |", "| --- | --- | --- | --- | --- |"]
    for name, shape, axes in VECTORS:
        found = voxarium.logical_digest(image_of(name, shape, axes))
        content = found.content.removeprefix("vld1-content:")
        bound = f"`{found.bound.removeprefix('vld1-bound:')}`" if found.bound else "–"
        lines.append(f"| {name} | {', '.join(map(str, shape))} | {axes or '–'} | `{content}` | {bound} |")
    return "\n".join(lines)


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 1023, 1024, 1025, 2048, 3000, 7 * 1024 + 1])
def test_blake3_of_the_slow_implementation_is_blake3(length):
    data = bytes(i % 251 for i in range(length))
    assert slow.blake3(data) == blake3.blake3(data).digest()


@pytest.mark.parametrize(("name", "shape", "axes"), VECTORS)
def test_an_implementation_of_the_page_alone_agrees(name, shape, axes):
    content, bound = slow_digests(name, shape, axes)
    found = voxarium.logical_digest(image_of(name, shape, axes))
    assert found.content == f"vld1-content:{content.hex()}"
    assert found.bound == (None if bound is None else f"vld1-bound:{bound.hex()}")


def test_the_vectors_of_the_page_are_those():
    found = re.search(r"<!-- vectors: begin -->\n(.*?)\n<!-- vectors: end -->", PAGE.read_text("utf-8"), re.DOTALL)
    assert found is not None and found[1] == table()


def test_the_page_shows_every_type_and_height():
    assert {v[0] for v in VECTORS} == set(CODES)
    heights = [len(voxarium.logical_digest(image_of(*v)).nodes()) for v in VECTORS]
    assert {1, 2, 3} < set(heights)


def test_names_of_axes_of_length_one_and_order_do_not_count():
    one = voxarium.logical_digest(image_of("uint8", (3, 5, 7), "zyx"))
    assert one.content == voxarium.logical_digest(image_of("uint8", (3, 5, 7), "")).content
    five = voxarium.logical_digest(image_of("uint8", (1, 1, 3, 5, 7), "tczyx"))
    assert (five.content, five.bound) == (one.content, one.bound) and five.shape == (1, 1, 3, 5, 7)


@pytest.mark.parametrize(
    ("shape", "box"), [((3, 1, 70), Box((0, 0, 0), (3, 1, 70))), ((), Box((), ())), ((1, 1), Box((0, 0), (1, 1)))]
)
def test_boxes_of_blocks_have_all_axes(shape, box):
    found = voxarium.logical_digest(array_of(np.zeros(shape, np.uint8)))
    assert found.block_box(0) == box
