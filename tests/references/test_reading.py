"""Reference files are read tolerantly, and lead only where they may."""

from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import voxarium
from voxarium.errors import Code, FormatError, InputError, NotFoundError, StoreError, VoxariumError
from voxarium.spec.references import Pointer, dump_references, parse_parquet, parse_references

SHAPE = (6, 7, 10)
VOXELS = np.random.default_rng(3).integers(0, 255, SHAPE, np.uint8)
ZARRAY = json.dumps(
    {
        "zarr_format": 2,
        "shape": SHAPE,
        "chunks": [2, 7, 10],
        "dtype": "|u1",
        "compressor": None,
        "filters": None,
        "fill_value": 9,
        "order": "C",
    }
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "x.bin").write_bytes(b"HEAD" + VOXELS.tobytes())
    return tmp_path


def written(folder: Path, document: dict[str, Any], name: str = "refs.json") -> str:
    (folder / name).write_text(json.dumps(document))
    return str(folder / name)


def test_references_in_place_ranges_and_absent_chunks(folder: Path) -> None:
    (folder / "last.bin").write_bytes(VOXELS[4:].tobytes())
    refs = {
        ".zgroup": '{"zarr_format": 2}',
        "a/.zarray": ZARRAY,
        "a/0.0.0": ["x.bin", 4, 140],
        "a/2.0.0": ["last.bin"],
    }
    array = voxarium.open(written(folder, {"version": 1, "refs": refs}) + "::a")
    expected = VOXELS.copy()
    expected[2:4] = 9
    assert np.array_equal(array[...], expected)
    refs["a/1.0.0"] = "base64:" + base64.b64encode(VOXELS[2:4].tobytes()).decode()
    assert np.array_equal(voxarium.open(written(folder, {"version": 1, "refs": refs}) + "::a")[...], VOXELS)
    assert np.array_equal(voxarium.open(written(folder, refs, "old.json") + "::a")[...], VOXELS)  # version 0


def test_templates_and_generated_references(folder: Path) -> None:
    document = {
        "version": 1,
        "templates": {"u": "x.bin"},
        "refs": {"a/.zarray": ZARRAY},
        "gen": [
            {
                "key": "a/{{ i }}.0.0",
                "url": "{{u}}",
                "offset": "{{ 4 + i * 140 }}",
                "length": 140,
                "dimensions": {"i": {"stop": 3}},
            }
        ],
    }
    assert np.array_equal(voxarium.open(written(folder, document) + "::a")[...], VOXELS)


@pytest.mark.parametrize("address", ["/etc/passwd", "../x.bin", "file:///etc/passwd", "a/../../x.bin", "s3://b/x"])
def test_addresses_outside_the_folder_are_refused(folder: Path, address: str) -> None:
    inner = folder / "inner"
    inner.mkdir()
    uri = written(inner, {"version": 1, "refs": {"a/.zarray": ZARRAY, "a/0.0.0": [address, 4, 140]}})
    with pytest.raises(InputError, match="outside") as caught:
        voxarium.open(f"{uri}::a")[...]
    assert caught.value.code == Code.KEY_UNSAFE


def test_addresses_that_are_allowed_are_followed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = folder / "inner"
    inner.mkdir()
    refs = {"a/.zarray": ZARRAY} | {f"a/{i}.0.0": [f"{folder}/x.bin", 4 + 140 * i, 140] for i in range(3)}
    uri = written(inner, {"version": 1, "refs": refs}) + "::a"
    assert np.array_equal(voxarium.open(uri, references=[str(folder)])[...], VOXELS)
    monkeypatch.setenv("VOXARIUM_REFERENCES", f"s3://elsewhere,{folder}")
    assert np.array_equal(voxarium.open(uri)[...], VOXELS)
    monkeypatch.setenv("VOXARIUM_REFERENCES", str(folder) + "/x.binary")  # a prefix of names is no folder above
    with pytest.raises(InputError, match="outside"):
        voxarium.open(uri)[...]


def test_a_file_that_is_gone_is_no_absent_chunk(folder: Path) -> None:
    uri = written(folder, {"version": 1, "refs": {"a/.zarray": ZARRAY, "a/0.0.0": ["gone.bin", 0, 140]}})
    with pytest.raises(NotFoundError, match="gone"):
        voxarium.open(f"{uri}::a")[...]
    uri = written(folder, {"version": 1, "refs": {"a/.zarray": ZARRAY, "a/0.0.0": ["x.bin", 400, 140]}})
    with pytest.raises((StoreError, FormatError)):
        voxarium.open(f"{uri}::a")[...]


@pytest.mark.parametrize(
    "refs",
    [
        {"a": ["x.bin", -1, 5]},
        {"a": ["x.bin", 0, 2**63]},
        {"a": ["x.bin", True, 5]},
        {"a": ["x.bin", 1]},
        {"a": 5},
        {"a": ["", 0, 1]},
        {"../a": "x"},
        {"a": "base64:???"},
    ],
)
def test_absurd_references_are_refused(refs: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        parse_references(json.dumps({"version": 1, "refs": refs}), "refs.json")


@pytest.mark.parametrize(
    "item",
    [
        {"key": "{{i}}", "url": "x", "dimensions": {"i": {"stop": 10**12}}},
        {"key": "{{i ** 9}}", "url": "x", "dimensions": {"i": [1]}},
        {"key": "{{().__class__}}", "url": "x", "dimensions": {"i": [1]}},
        {"key": "{{i // 0}}", "url": "x", "dimensions": {"i": [1]}},
        {"key": "a", "url": "x", "dimensions": {"i": {"stop": 5, "step": 0}}},
        {"key": "a", "url": 5, "dimensions": {"i": [1]}},
        {"key": "a", "url": "x", "offset": "{{" + "9*" * 60 + "9}}", "dimensions": {"i": [1]}},
    ],
)
def test_absurd_generators_are_refused(item: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        parse_references(json.dumps({"version": 1, "refs": {}, "gen": [item]}), "refs.json")


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,4}/[0-9]", fullmatch=True),
        st.one_of(st.binary(max_size=40), st.builds(Pointer, st.just("f"), st.integers(0, 2**60), st.integers(0, 99))),
    )
)
def test_references_survive_a_round_trip(references: dict[str, Any]) -> None:
    references = {".zgroup": b'{"zarr_format": 2}', **references}
    assert parse_references(dump_references(references), "refs.json") == references


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)),
    max_leaves=12,
)


@given(json_values)
def test_junk_is_refused_cleanly(junk: Any) -> None:
    for document in (junk, {"version": 1, "refs": junk}, {"version": 1, "refs": {}, "gen": junk}, {".zgroup": junk}):
        with contextlib.suppress(VoxariumError):
            parse_references(json.dumps(document), "refs.json")
    for document in (junk, {"metadata": junk, "record_size": 5}, {"metadata": {".zarray": junk}, "record_size": 5}):
        with contextlib.suppress(VoxariumError):
            parse_parquet(json.dumps(document).encode(), "refs.parq")
