"""Header parsers: agree with the libraries, survive any bytes."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from voxarium.errors import Code, FormatError, UnsupportedError, VoxariumError
from voxarium.model.axes import Axis
from voxarium.spec.array_attributes import json_value, stated_axes
from voxarium.spec.image_headers import check_page_chain, parse_image_header
from voxarium.spec.slice_names import missing_numbers
from voxarium.spec.tiff_metadata import PlaneMetadata, axes_of, parse_imagej


def parse(raw: bytes):
    return parse_image_header(lambda start, length: raw[start : start + length], len(raw))


def tiff_bytes(shape=(7, 9), dtype="u2", **options) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros(shape, dtype), **options)
    return file.getvalue()


def image_bytes(kind: str, shape=(7, 9), dtype="u1", **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.zeros(shape, dtype)).save(file, kind, **options)
    return file.getvalue()


SAMPLES = {
    "png": image_bytes("PNG"),
    "png16": image_bytes("PNG", dtype="u2"),
    "jpeg": image_bytes("JPEG"),
    "tiff": tiff_bytes(),
    "bigtiff": tiff_bytes(bigtiff=True, shape=(3, 7, 9), photometric="minisblack"),
    "big-endian": tiff_bytes(byteorder=">", tile=(16, 16)),
}


@pytest.mark.parametrize("dtype", ["u1", "u2", "i1", "i4", "f2", "f4", "f8", "u8", "c8"])
@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}, {"rowsperstrip": 2}])
def test_tiff_agrees_with_tifffile(dtype, options):
    raw = tiff_bytes((7, 9), dtype, **options)
    header = parse(raw)
    with tifffile.TiffFile(io.BytesIO(raw)) as file:
        page = file.pages[0]
        assert header.shape == page.shape
        assert header.dtype.newbyteorder("=") == page.dtype
        assert header.byte_offset == page.dataoffsets[0]
    assert not header.several


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("shape", [(7, 9), (7, 9, 3)])
def test_jpeg_agrees_with_pillow(shape, progressive):
    header = parse(image_bytes("JPEG", shape, progressive=progressive, comment=b"x" * 5000))
    assert header.shape == shape


def test_compressed_and_tiled_tiff_have_no_plain_place():
    assert parse(tiff_bytes(compression="zlib")).byte_offset is None
    header = parse(tiff_bytes(tile=(16, 32)))
    assert header.byte_offset is None
    assert header.tile == (16, 32)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_cut_gives_a_format_error_or_a_header(name):
    codes = set()
    for length in range(len(SAMPLES[name])):
        try:
            parse(SAMPLES[name][:length])
        except FormatError as error:
            codes.add(error.code)
    assert codes <= {Code.FILE_TRUNCATED, Code.METADATA_INVALID}


@settings(max_examples=300)
@given(
    st.sampled_from(sorted(SAMPLES)),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=8),
)
def test_any_damage_gives_our_errors_only(name, changes):
    raw = bytearray(SAMPLES[name])
    for at, value in changes:
        raw[at % len(raw)] = value
    try:
        header = parse(bytes(raw))
        if header is not None and header.kind == "tiff":
            check_page_chain(lambda start, length: bytes(raw[start : start + length]), len(raw))
    except (FormatError, UnsupportedError):
        pass


@given(
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0"]),
    st.binary(max_size=300),
)
def test_any_bytes_give_our_errors_only(start, junk):
    with contextlib.suppress(FormatError, UnsupportedError):
        parse(start + junk)


def test_circular_pages_end():
    raw = bytearray(tiff_bytes(byteorder="<", metadata=None))
    count = int.from_bytes(raw[8:10], "little")
    pointer = 10 + 12 * count
    raw[pointer : pointer + 4] = (8).to_bytes(4, "little")
    with pytest.raises(FormatError, match="circle"):
        check_page_chain(lambda start, length: bytes(raw[start : start + length]), len(raw))


def test_imagej_sizes_need_a_unit():
    assert parse_imagej({"spacing": 2}, (0.5, 0.5, "")).sizes == {}
    assert parse_imagej({"spacing": 2, "unit": "pixel"}, (0.5, 0.5, "")).sizes == {}
    found = parse_imagej({"spacing": 2, "unit": "nm", "finterval": 0.5}, (0.5, None, "")).sizes
    assert found == {"X": (2.0, "nanometer"), "Z": (2.0, "nanometer"), "T": (0.5, "second")}


def test_letters_that_say_nothing_give_no_axes():
    assert axes_of("IYX", None, (3, 4, 5)) == (None, None)
    assert axes_of("QYX", None, (3, 4, 5)) == (None, None)
    assert axes_of("TQYX", None, (3, 4, 5, 6)) == (None, None)
    axes, transform = axes_of("YX", PlaneMetadata(sizes={"Y": (2.0, "nanometer")}), (4, 5))
    assert axes == (Axis(name="y", type="space", unit="nanometer"), Axis(name="x", type="space"))
    assert transform is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(
    [
        "resolution",
        "offset",
        "axis_names",
        "units",
        "voxel_size",
        "element_size_um",
        "DIMENSION_LABELS",
        "axistags",
        "axes",
        "unit",
        "scale",
        "translate",
        "transform",
    ]
)


@given(st.dictionaries(keys, json_values, max_size=6), st.integers(0, 4))
def test_any_attributes_give_axes_or_none(attributes, ndim):
    axes, transform = stated_axes(attributes, ndim, "/volumes/raw")
    assert axes is None or len(axes) == ndim
    assert transform is None or axes is not None


@given(json_values)
def test_json_values_stay_json(value):
    import json

    json.dumps(json_value(value), allow_nan=False)


@pytest.mark.parametrize(
    ("names", "absent"),
    [
        (["a1", "a2", "a4"], [3]),
        (["a10", "a20", "a40"], [30]),
        (["a1_c0", "a2_c0"], []),
        (["a1_c0", "a2_c1"], []),
        (["a1", "b3"], []),
        (["a"], []),
        (["a1"], []),
        (["a0", "a1", "a99999999"], list(range(2, 102))),
    ],
)
def test_numbers_left_out(names, absent):
    assert missing_numbers(names) == absent


def test_errors_survive_pickling():
    import pickle

    with pytest.raises(VoxariumError) as caught:
        parse(b"\xff\xd8\xff\xd9")
    assert pickle.loads(pickle.dumps(caught.value)).code == caught.value.code
