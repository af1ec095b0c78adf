"""The protocol of the conformance tests of Zarr: elements in C order, and an exit status."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from voxarium.errors import NotFoundError
from voxarium.validation.conformance import answer, array_path, array_texts
from voxarium.validation.examples import bases
from voxarium.validation.examples.zarr import voxels

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def stored(folder: Path, tree) -> Path:
    for key, raw in tree.items():
        target = folder / key
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(raw)
    return folder


@pytest.mark.parametrize("name", ["zarr2", "zarr3", "zarr3-sharded", "zarr3-plain"])
def test_elements_come_in_c_order_one_per_line(tmp_path, name):
    out = io.StringIO()
    assert answer(stored(tmp_path, bases()[name]()), out) == 0
    assert out.getvalue().splitlines() == [str(v) for v in voxels().flat]


@pytest.mark.parametrize(
    ("dtype", "stored_as", "values", "texts"),
    [
        ("float32", "<f4", [np.nan, np.inf, -0.5], ['"NaN"', '"Infinity"', "-0.5"]),
        ("bool", "?", [True, False, True], ["true", "false", "true"]),
        ("complex64", "<c8", [1 - 2j, 0, 1], ["[1.0, -2.0]", "[0.0, 0.0]", "[1.0, 0.0]"]),
    ],
)
def test_elements_are_written_like_fill_values(tmp_path, dtype, stored_as, values, texts):
    document = json.loads(bases()["zarr3-plain"]()["zarr.json"])
    document |= {"shape": [3], "data_type": dtype, "dimension_names": ["x"]}
    document["fill_value"] = {"bool": False, "complex64": [0, 0]}.get(dtype, 0)
    document["chunk_grid"]["configuration"]["chunk_shape"] = [3]
    raw = np.array(values).astype(stored_as).tobytes()
    found = array_texts(stored(tmp_path, {"zarr.json": json.dumps(document).encode(), "c/0": raw}))
    assert list(found) == texts


def test_an_array_without_axes_is_one_element(tmp_path):
    document = json.loads(bases()["zarr3-plain"]()["zarr.json"]) | {"shape": [], "dimension_names": [], "fill_value": 7}
    document["chunk_grid"]["configuration"]["chunk_shape"] = []
    assert list(array_texts(stored(tmp_path, {"zarr.json": json.dumps(document).encode()}))) == ["7"]


def test_what_cannot_be_read_has_another_status_and_says_why(tmp_path):
    tree = dict(bases()["zarr3"]())
    tree["c/1/1/1"] = tree["c/1/1/1"][:5]
    wrong = io.StringIO()
    assert answer(stored(tmp_path / "broken", tree), io.StringIO(), wrong) == 1
    assert "chunk (1, 1, 1)" in wrong.getvalue()
    assert answer(tmp_path / "nothing", io.StringIO(), io.StringIO()) == 1
    with pytest.raises(NotFoundError):
        list(array_texts(tmp_path / "nothing"))


def test_arguments_are_those_of_the_suite():
    assert array_path(["--array_path=x/y.zarr"]) == array_path(["--array_path", "x/y.zarr"]) == "x/y.zarr"
    assert array_path(["--array_path"]) is None
    assert array_path(["a", "b", "c"]) is None


@pytest.mark.skipif(not SHARED.is_dir(), reason="shared data are not here")
@pytest.mark.parametrize("kind", ["b1", "i2", "i4", "f4.le", "f8", "u1"])
def test_arrays_of_zarr_python_are_read_whole(kind):
    folder = SHARED / "neuroglancer/testdata/datasource/zarr/zarr_v2/from_zarr-python/data.zarr"
    paths = [p for p in (folder / f"1d.contiguous.{kind}", folder / f"2d.chunked.{kind}") if p.is_dir()]
    for path in paths:
        shape = json.loads((path / ".zarray").read_bytes())["shape"]
        assert len(list(array_texts(path))) == np.prod(shape)
    assert paths
