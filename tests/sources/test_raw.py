"""Raw binary files: told shape and type, checked by size."""

from __future__ import annotations

import numpy as np
import pytest

from voxarium.errors import Code, FormatError, InputError, NotFoundError
from voxarium.formats.raw import RawDriver


@pytest.fixture
def data():
    return np.arange(4 * 5 * 6, dtype="<u2").reshape(4, 5, 6)


@pytest.mark.parametrize("shape", [(4, 5, 6), [4, 5, 6], "4,5,6", "(4, 5, 6)", "4x5x6", np.array([4, 5, 6])])
def test_shape_may_be_given_in_many_ways(tmp_path, reads_like, data, shape):
    (tmp_path / "a.raw").write_bytes(data.tobytes())
    reads_like(RawDriver(), "a.raw", data, shape=shape, dtype="uint16")


def test_header_footer_order_and_byte_order(tmp_path, reads_like, data):
    big = np.asfortranarray(data.astype(">u2"))
    (tmp_path / "volume").write_bytes(b"h" * 352 + big.tobytes(order="F") + b"foot")
    reads_like(
        RawDriver(),
        "volume",
        big,
        shape=data.shape,
        dtype=">u2",
        byte_offset=352,
        order="F",
        trailing_bytes=4,
    )


@pytest.mark.parametrize("name", ["a.raw", "a.BIN", "a.dat"])
@pytest.mark.parametrize("options", [{}, {"shape": (3,)}, {"dtype": "u1"}, {"shape": None, "dtype": "u1"}])
def test_without_shape_and_type_the_options_are_shown(tmp_path, store, name, options):
    (tmp_path / name).write_bytes(b"abc")
    with pytest.raises(InputError) as caught:
        RawDriver().open(store, name, **options)
    assert "shape=(" in caught.value.fix
    assert "dtype=" in caught.value.fix
    assert "3 bytes" in caught.value.message


@pytest.mark.parametrize("path", ["", "a.txt", "absent.raw", "a.h5::/x"])
def test_declines_what_is_not_raw(tmp_path, store, path):
    (tmp_path / "a.txt").write_bytes(b"abc")
    with pytest.raises(NotFoundError) as caught:
        RawDriver().open(store, path)
    assert caught.value.code == Code.METADATA_MISSING


def test_too_small_names_both_sizes(tmp_path, store, data):
    (tmp_path / "a.raw").write_bytes(data.tobytes()[:-1])
    with pytest.raises(FormatError) as caught:
        RawDriver().open(store, "a.raw", shape=data.shape, dtype="u2")
    assert caught.value.code == Code.FILE_TRUNCATED
    assert "239" in caught.value.message
    assert "240" in caught.value.message


def test_too_large_suggests_the_header(tmp_path, store, data):
    (tmp_path / "a.raw").write_bytes(b"h" * 100 + data.tobytes())
    with pytest.raises(FormatError) as caught:
        RawDriver().open(store, "a.raw", shape=data.shape, dtype="u2")
    assert caught.value.code == Code.SIZE_IMPLAUSIBLE
    assert "byte_offset=100" in caught.value.fix
    RawDriver().open(store, "a.raw", shape=data.shape, dtype="u2", byte_offset=100)


@pytest.mark.parametrize(
    "options",
    [
        {"shape": (0, 5, 6)},
        {"shape": "a,b"},
        {"shape": ()},
        {"shape": 120},
        {"shape": (4.0, 5, 6)},
        {"shape": {"z": 4}},
        {"dtype": "no-type"},
        {"dtype": "O"},
        {"dtype": "U4"},
        {"dtype": [("x", "u1")]},
        {"byte_offset": -1},
        {"byte_offset": "many"},
        {"byte_offset": 1.5},
        {"order": "Z"},
        {"trailing_bytes": -3},
    ],
)
def test_wrong_options_are_input_errors(tmp_path, store, data, options):
    (tmp_path / "a.raw").write_bytes(data.tobytes())
    with pytest.raises(InputError) as caught:
        RawDriver().open(store, "a.raw", **({"shape": data.shape, "dtype": "u2"} | options))
    assert caught.value.fix
