"""Consolidated metadata: levels far away open without a request each; near ones by their own documents."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import voxarium
from voxarium.core.opening import open_image
from voxarium.errors import FormatError
from voxarium.formats.ome_zarr import OmeZarrDriver
from voxarium.spec import ome
from voxarium.stores.audit import AuditStore
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore

DATA = np.random.default_rng(5).integers(1, 250, (33, 41, 52)).astype("uint8")
CHOICES = {"chunk": 16, "axes": "zyx", "voxel_size": (3, 2, 1), "unit": "micrometer"}


class Far(AuditStore):
    """Counts, and says it is far away, as a store behind a network does."""

    concurrency = 32


def write(source, target, version="0.5", levels=5, **more):
    np.save(source / "em.npy", DATA)
    voxarium.convert(source / "em.npy", target, spec_version=version, levels=levels, **CHOICES, **more)
    return target


def counted(path):
    far = Far(LocalStore(path), record=True)
    return open_image(far), sum(far.requests.values()), [o.key for o in far.log]


def facts(image):
    return [(a.shape, a.dtype, a.chunk_shape, a.fill_value, a.codecs) for a in (v.array for v in image.levels)]


def change(path, edit):
    document = json.loads((path / "zarr.json").read_bytes())
    edit(document)
    (path / "zarr.json").write_text(text := json.dumps(document))
    return text


@pytest.mark.parametrize("version", ["0.5", "0.6"])
def test_an_image_of_five_levels_opens_in_three_requests(tmp_path, version):
    image, requests, keys = counted(write(tmp_path, tmp_path / "em.zarr", version))
    assert len(image.levels) == 5 and requests <= 3, keys
    assert facts(voxarium.open(tmp_path / "em.zarr")) == facts(image)
    assert np.array_equal(image[...], DATA)


def test_as_few_suffice_behind_http(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "stores"))
    from http_server import RangeServer

    store = LocalStore(write(tmp_path, tmp_path / "em.zarr"))
    with RangeServer({f"em.zarr/{key}": store.get(key) for key, _ in store.list("")}) as server:
        image = voxarium.open(f"{server.url}/em.zarr")
        assert len(image.levels) == 5 and len(server.requests) <= 3, server.requests
        assert np.array_equal(image.level(0)[...], DATA)


def test_zarr_python_finds_levels_and_label_images_in_what_is_consolidated(tmp_path):
    zarr = pytest.importorskip("zarr")
    path = write(tmp_path, tmp_path / "em.zarr", levels=2)
    for name in ("cells", "deep/er"):
        write(tmp_path, path / "labels" / name, levels=1, role="label")
    group = zarr.open_group(path, mode="r", use_consolidated=True)
    nodes = {key for key, _ in group.members(max_depth=None)}
    assert nodes == {"s0", "s1", "labels", "labels/cells", "labels/cells/s0", "labels/deep", "labels/deep/er",
                     "labels/deep/er/s0"}  # fmt: skip
    assert np.array_equal(group["s0"][...], DATA) and np.array_equal(group["labels/deep/er/s0"][...], DATA)
    assert group["labels"].attrs["ome"]["labels"] == ["cells", "deep/er"]
    document = json.loads((path / "zarr.json").read_bytes())["consolidated_metadata"]
    assert (document["kind"], document["must_understand"]) == ("inline", False)


def test_an_image_without_consolidated_metadata_is_left_so_when_labels_are_added(tmp_path):
    path = write(tmp_path, tmp_path / "em.zarr", levels=1)
    before = change(path, lambda document: document.pop("consolidated_metadata"))
    write(tmp_path, path / "labels" / "cells", levels=1, role="label")
    assert (path / "zarr.json").read_text() == before


def test_tensorstore_opens_levels_below_a_consolidated_group(tmp_path):
    tensorstore = pytest.importorskip("tensorstore")
    path = write(tmp_path, tmp_path / "em.zarr", levels=2)
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path / "s0")}}
    assert np.array_equal(tensorstore.open(spec).result().read().result(), DATA)


def test_consolidated_metadata_of_zarr_2_save_requests_too(tmp_path):
    zarr = pytest.importorskip("zarr")
    path = write(tmp_path, tmp_path / "em.zarr", "0.4")
    plain, many, _ = counted(path)
    zarr.consolidate_metadata(path, zarr_format=2)
    image, few, keys = counted(path)
    assert facts(image) == facts(plain)
    assert few <= 4 < many, keys


def test_near_images_are_opened_by_the_documents_of_their_levels_not_by_copies(tmp_path):
    path = write(tmp_path, tmp_path / "em.zarr", levels=1)
    change(path, lambda document: document["consolidated_metadata"]["metadata"]["s0"].update(shape=[1, 1, 1]))
    assert voxarium.open(path).shape == DATA.shape
    assert counted(path)[0].shape == (1, 1, 1)


@pytest.mark.parametrize("copies", [None, 3, [], {}, {"kind": "elsewhere", "metadata": {"s0": {}}},
                                    {"kind": "inline", "metadata": 4}, {"metadata": {"s0": 1, "s1": {}}}])  # fmt: skip
def test_copies_that_are_none_are_ignored(tmp_path, copies):
    path = write(tmp_path, tmp_path / "em.zarr", levels=2)
    change(path, lambda document: document.update(consolidated_metadata=copies))
    assert counted(path)[0].shape == DATA.shape


def test_copies_are_checked_as_documents_are(tmp_path):
    path = write(tmp_path, tmp_path / "em.zarr", levels=2)
    change(path, lambda document: document["consolidated_metadata"]["metadata"]["s1"].update(shape=[2**62, -1, 3]))
    with pytest.raises(FormatError, match="s1"):
        counted(path)


JSON = st.recursive(
    st.none() | st.integers() | st.sampled_from(["array", "group", "inline", "s0"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["metadata", "kind", "s0", "s0/.zarray", "s0/.zattrs", "node_type", "../x"]), inner
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_copies_are_read_or_left_out(found):
    attributes = {"ome": {"version": "0.5", "multiscales": []}}
    inline, beside = MemoryStore(), MemoryStore()
    body = {"zarr_format": 3, "node_type": "group", "attributes": attributes, "consolidated_metadata": found}
    inline.put("im/zarr.json", json.dumps(body).encode())
    beside.put("im/.zattrs", b'{"multiscales": []}')
    beside.put("im/.zmetadata", json.dumps(found).encode())
    for store in (inline, beside):
        told = OmeZarrDriver().copies(store, "im")
        assert all(v is None or isinstance(json.loads(v), dict) for v in told.values())


def test_copies_nested_without_end_are_left_out():
    deep = b'{"node_type": "array", "a": ' + b'{"a": ' * 800 + b"1" + b"}" * 801
    nodes = b'{"metadata": {"s0": ' + deep + b', "s1": {"node_type": "array"}}}'
    try:
        found = ome.v3_copies(b'{"node_type": "group", "consolidated_metadata": ' + nodes + b"}", "im")
    except FormatError:
        return  # no JSON that is read at all
    assert "im/s1/zarr.json" in found
