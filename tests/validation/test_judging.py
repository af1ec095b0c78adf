"""Chunks judged where they are decoded: what is right needs no second look, what is wrong gets one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.codecs import batch
from voxarium.codecs.batch import inflating
from voxarium.codecs.batch.crew import crews_possible
from voxarium.core.image import Image
from voxarium.model.box import Box
from voxarium.pyramid import Method, downsample
from voxarium.validation.data import DataResult, check_data, judging
from voxarium.validation.data.blocks import Pair, Run
from voxarium.validation.data.comparing import Block
from voxarium.validation.data.judging import judged_pieces
from voxarium.validation.data.methods import Trial
from voxarium.validation.data.reading import Faults, LevelReader

from .conftest import written

pytestmark = pytest.mark.skipif(
    not (batch.available() and crews_possible()), reason="no semaphores in memory, or numcodecs does not show its zstd"
)


@pytest.fixture(autouse=True)
def judged(monkeypatch: pytest.MonkeyPatch) -> list[Box]:
    """Judge small levels too; list the pieces of finest levels that were looked at all the same."""
    monkeypatch.setattr(batch, "_worth_loading", lambda _chunks: True)
    monkeypatch.setattr(inflating, "_PATIENCE", 0)
    monkeypatch.setattr(judging, "_LEAST_BYTES", 0)
    seen: list[Box] = []
    inner = LevelReader.read

    def read(reader: LevelReader, box: Box) -> Any:
        if reader.level == 0:
            seen.append(box)
        return inner(reader, box)

    monkeypatch.setattr(LevelReader, "read", read)
    return seen


def unjudged(image: Image, monkeypatch: pytest.MonkeyPatch) -> DataResult:
    with monkeypatch.context() as patch:
        patch.setattr(judging, "_LEAST_BYTES", 1 << 62)
        return check_data(image)


KINDS = [
    ("u1", "intensity", (2, 2, 2), 16, 32, "zstd:1"),
    ("i1", "intensity", (1, 2, 2), 16, 0, "none"),
    ("u2", "intensity", (2, 2, 1), 8, 16, "zstd:3"),
    ("i2", "intensity", (4, 4, 2), 16, 0, "zstd:1"),
    ("u8", "label", (2, 2, 2), 16, 32, "zstd:1"),
    ("i4", "label", (1, 2, 2), 16, 0, "none"),
    ("u2", "label", (4, 2, 2), 8, 8, "zstd:1"),
    ("u1", "intensity", (2, 2, 2), 16, 32, "gzip:5"),
    ("u4", "label", (2, 2, 2), 16, 32, "gzip:1"),
]


@pytest.mark.parametrize(("dtype", "role", "factors", "chunk", "shard", "codec"), KINDS)
def test_whole_chunks_of_a_good_image_are_not_looked_at_twice(
    tmp_path: Path, judged: list[Box], monkeypatch: pytest.MonkeyPatch,
    dtype: str, role: str, factors: tuple[int, ...], chunk: int, shard: int, codec: str,
) -> None:  # fmt: skip
    rng = np.random.default_rng(3)
    data = rng.integers(1, 5 if role == "label" else 120, (64, 64, 96)).astype(dtype)
    data[:40, :40, :40] = 7
    path = written(tmp_path, data, chunk=chunk, shard=shard, codec=codec, levels=3, factors=factors, role=role)
    image = voxarium.open(path)
    result = check_data(image)
    assert not result.findings and judged == []
    plain = unjudged(image, monkeypatch)
    assert judged and (plain.voxels, plain.chunks, plain.nbytes) == (result.voxels, result.chunks, result.nbytes)


@pytest.mark.parametrize(("dtype", "role", "factors", "chunk", "shard", "codec"), KINDS)
@pytest.mark.parametrize("level", [0, 1])
def test_wrong_voxels_are_found_as_without_judges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    dtype: str, role: str, factors: tuple[int, ...], chunk: int, shard: int, codec: str, level: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng(4)
    data = rng.integers(1, 5 if role == "label" else 120, (70, 67, 99)).astype(dtype)
    path = written(tmp_path, data, chunk=chunk, shard=0, codec="none", levels=3, factors=factors, role=role)
    target = path / ("s0/c/1/2/1" if level == 0 else "s1/c/0/0/0")
    raw = bytearray(target.read_bytes())
    size = np.dtype(dtype).itemsize
    # One voxel of labels may be in the minority anyway.
    for i in range(77, 500 if role == "label" else 78):
        raw[size * i] ^= 64
    target.write_bytes(raw)
    image = voxarium.open(path)
    found, plain = check_data(image).findings, unjudged(image, monkeypatch).findings
    assert found and [f.rule for f in found] == [f.rule for f in plain]
    assert [f.message for f in found] == [f.message for f in plain]


def test_absent_and_damaged_chunks_get_a_second_look(tmp_path: Path, judged: list[Box]) -> None:
    data = np.random.default_rng(5).integers(1, 255, (64, 64, 64), np.uint8)
    path = written(tmp_path, data, chunk=16, shard=0, codec="zstd:1", levels=2, factors=(2, 2, 2))
    (path / "s0/c/0/1/2").unlink()
    broken = path / "s0/c/3/3/3"
    broken.write_bytes(broken.read_bytes()[:-9])
    found = {f.rule for f in check_data(voxarium.open(path)).findings}
    assert {"DA-001", "DA-024"} <= found
    assert any(b.contains(Box((0, 16, 32), (16, 16, 16))) for b in judged)


def test_ranges_and_histograms_still_see_every_voxel(tmp_path: Path, judged: list[Box]) -> None:
    data = np.random.default_rng(6).integers(1, 9, (32, 32, 64), np.uint16)
    path = written(tmp_path, data, chunk=16, shard=0, levels=2, factors=(2, 2, 2), role="label")
    result = check_data(voxarium.open(path), histogram=lambda _info: True)
    assert sum(result.histograms["s0"].values()) == data.size and judged


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_chunk_is_judged_as_its_means_or_modes_say(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    dtype = np.dtype(data.draw(st.sampled_from(["u1", "i1", "u2", "i2"])))
    method = data.draw(st.sampled_from([Method.MEAN, Method.MODE]))
    leading = data.draw(st.integers(0, 2))
    window = tuple(data.draw(st.sampled_from([1, 2, 4] if i < 2 else [1, 2])) for i in range(3))
    if window == (1, 1, 1):
        window = (2, 2, 2)
    chunk = tuple(w * data.draw(st.integers(1, 6)) for w in window)
    counts = tuple(data.draw(st.integers(1, 3)) for _ in range(3))
    ahead = tuple(data.draw(st.integers(1, 3)) for _ in range(leading))
    shape = (*ahead, *(c * n for c, n in zip(chunk, counts, strict=True)))
    info = np.iinfo(dtype)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    fine = rng.choice([info.min, info.max, *rng.integers(info.min, info.max, 3, dtype)], shape).astype(dtype)
    factors = (*(1,) * leading, *window)
    coarse = downsample(fine, factors, method)
    wrong = data.draw(st.one_of(st.none(), st.integers(0, coarse.size - 1)))
    import tensorstore as ts

    folder = tmp_path_factory.mktemp("judged")
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{folder}/"},
        "metadata": {
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [*(1,) * leading, *chunk]}},
            "data_type": dtype.name,
            "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "zstd", "configuration": {}}],
            # Chunks of fill value only are absent, and have to be looked at.
            "fill_value": int(info.min) + 1,
        },
    }
    written_array = ts.open(spec, create=True, dtype=dtype, shape=shape).result()
    written_array.write(fine).result()
    array = voxarium.open(folder).arrays[0]
    if wrong is not None:
        coarse.flat[wrong] ^= 1
    pair = Pair(fine=0, coarse=1, factors=factors, trial=Trial(method))
    box = Box.whole(shape)
    run = Run(level=0, pairs=(pair,), block=shape, piece=array.info.chunk_shape)
    none = (0,) * len(shape)
    block = Block(box=Box.whole(coarse.shape), voxels=coarse, unknown=None, lo=none, hi=none)
    is_good = judged_pieces(LevelReader(array, 0, Faults()), run, box, block)
    if is_good is None:
        assert int(np.prod(window)) >= 128
        return
    for piece in box.tiles(run.piece):
        above = tuple(slice(a // f, b // f) for a, b, f in zip(piece.origin, piece.stop, factors, strict=True))
        truth = downsample(fine[piece.slices], factors, method)
        if method is Method.MEAN:
            assert is_good(piece) == np.array_equal(truth, coarse[above])
        elif np.array_equal(truth, coarse[above]):
            assert is_good(piece)
