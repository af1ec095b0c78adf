"""The engine writes N5 as it writes any container: pyramids, chunks cut at the end, nothing for zeros."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorstore

import voxarium
from voxarium.conversion import ConvertOptions, Target, plan, run
from voxarium.formats.n5 import N5Driver
from voxarium.formats.ome_zarr import OmeZarrDriver
from voxarium.spec.n5 import parse_block_header
from voxarium.stores.local import LocalStore

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("codec", [None, "raw", "zstd:1"])
def test_levels_are_written_as_n5(codec: str | None, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any convention will do: here, that of OME-Zarr around arrays of N5."""
    monkeypatch.setattr(OmeZarrDriver, "array_driver", lambda *_: "n5")
    data = np.random.default_rng(3).integers(0, 255, (19, 23, 30)).astype("<u2")
    data[:9, :, :13] = 0
    np.save(tmp_path / "em.npy", data)
    image = voxarium.open(tmp_path / "em.npy")
    laid_out = plan(image, ConvertOptions(axes=tuple("zyx"), chunk=(4, 5, 6), levels=2, codec=codec))
    store = LocalStore(tmp_path / "t")
    run(laid_out, image, Target(store, store, ""))
    for level in ("s0", "s1"):
        info = N5Driver().open(store, level)
        spec = {"driver": "n5", "kvstore": f"file://{tmp_path}/t/{level}/"}
        if level == "s0":
            assert (data == np.asarray(tensorstore.open(spec).result().read().result()).T).all()
            assert store.get("s0/0/0/0") is None
        last = tuple((n - 1) // c for n, c in zip(info.shape, info.chunk_shape, strict=True))
        payload = store.get(N5Driver().object_key(level, info, last)) or b""
        cut = tuple(n - i * c for i, n, c in zip(last, info.shape, info.chunk_shape, strict=True))
        assert parse_block_header(payload, info.chunk_shape).shape == cut
    target = tmp_path / "again"
    voxarium.convert(tmp_path / "t/s0", target, axes="zyx", levels=1, chunk=(4, 5, 6))
    assert (voxarium.open(target / "s0", format="n5")[...] == data).all()
