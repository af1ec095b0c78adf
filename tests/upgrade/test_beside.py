"""Upgrades beside: the source is untouched, the result shares or copies its chunks; stores other than local ones."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.errors import ConflictError, ExistsError, InputError, UnsupportedError


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"(?s).*(Zarr format 3|Numcodecs codecs|Both zarr|Object at).*")
        yield


@pytest.mark.parametrize("mode", ["replace", "dual"])
@pytest.mark.parametrize("links", [True, False])
def test_the_source_stays_and_the_result_is_what_an_upgrade_in_place_gives(tmp_path, trees, mode, links):
    trees.mixture(tmp_path / "t")
    (tmp_path / "t/.hidden").mkdir()
    (tmp_path / "t/.hidden/file").write_text("x")
    before = trees.content(tmp_path / "t")
    report = voxarium.upgrade(tmp_path / "t", beside=tmp_path / "new", mode=mode, links=links)
    assert trees.content(tmp_path / "t") == before
    assert bool(report.linked) == links and bool(report.copied) != links
    chunk = "image/0/1/1/1"
    assert os.path.samefile(tmp_path / "t" / chunk, tmp_path / "new" / chunk) == links
    assert not (tmp_path / "new" / trees.journal).exists()
    voxarium.upgrade(tmp_path / "t", mode=mode)
    assert trees.content(tmp_path / "new") == trees.content(tmp_path / "t")
    with pytest.raises(ExistsError):
        voxarium.upgrade(tmp_path / "t", beside=tmp_path / "new")


def test_a_refusal_leaves_nothing_beside(tmp_path, trees):
    trees.image(tmp_path / "t")
    (tmp_path / "t/1/.zarray").write_text("{}")
    with pytest.raises(UnsupportedError):
        voxarium.upgrade(tmp_path / "t", beside=tmp_path / "new")
    assert not (tmp_path / "new").exists()
    voxarium.upgrade(tmp_path / "t", beside=tmp_path / "new", skip_refused=True)
    assert trees.content(tmp_path / "new") == trees.content(tmp_path / "t")


def test_places_inside_each_other_are_refused(tmp_path, trees):
    trees.image(tmp_path / "t")
    for place in ("t/new", "t", "."):
        with pytest.raises(InputError):
            voxarium.upgrade(tmp_path / "t", beside=tmp_path / place)


def test_a_stopped_copy_is_finished_by_the_same_call(tmp_path, trees, monkeypatch):
    from voxarium.conversion.upgrading.beside import Copier

    trees.plate(tmp_path / "t")
    voxarium.upgrade(tmp_path / "t", beside=tmp_path / "whole")
    carry, count = Copier.carry, 0

    def failing(self, key):
        nonlocal count
        count += 1
        if count > 20:
            raise KeyboardInterrupt
        carry(self, key)

    monkeypatch.setattr(Copier, "carry", failing)
    with pytest.raises(KeyboardInterrupt):
        voxarium.upgrade(tmp_path / "t", beside=tmp_path / "new")
    monkeypatch.undo()
    assert not (tmp_path / "new/zarr.json").exists()
    with pytest.raises(ConflictError):
        voxarium.upgrade(tmp_path / "t", beside=tmp_path / "new", to="0.6")
    assert voxarium.upgrade(tmp_path / "t", beside=tmp_path / "new").resumed
    assert trees.content(tmp_path / "new") == trees.content(tmp_path / "whole")


@pytest.fixture
def bucket(monkeypatch):
    boto3 = pytest.importorskip("boto3")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    for name, value in {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1",
                        "AWS_ENDPOINT_URL": endpoint}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    client.create_bucket(Bucket="upgrades")
    yield client
    client.close()
    server.stop()


def test_object_stores_in_place_and_beside(tmp_path, trees, bucket):
    trees.labelled(tmp_path / "t")
    before = trees.content(tmp_path / "t")
    for key in before:
        bucket.put_object(Bucket="upgrades", Key=f"a/{key}", Body=(tmp_path / "t" / key).read_bytes())

    def stored(prefix):
        found = [o["Key"] for o in bucket.list_objects_v2(Bucket="upgrades", Prefix=prefix).get("Contents", [])]
        return {k.removeprefix(prefix): bucket.get_object(Bucket="upgrades", Key=k)["Body"].read() for k in found}

    original = stored("a/")
    beside = voxarium.upgrade("s3://upgrades/a", beside="s3://upgrades/b", to="0.6")
    assert beside.copied and not beside.linked and stored("a/") == original
    voxarium.upgrade("s3://upgrades/a", to="0.6")
    upgraded = {k: v for k, v in stored("a/").items() if not k.startswith(trees.journal)}
    assert upgraded == stored("b/")
    assert voxarium.open("s3://upgrades/a").info.spec_version == "0.6"
    voxarium.roll_back("s3://upgrades/a")
    assert stored("a/") == original
    voxarium.upgrade(tmp_path / "t", to="0.6")
    assert {k: (tmp_path / "t" / k).read_bytes() for k in trees.content(tmp_path / "t")} == upgraded


CODINGS = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["|u1", "<u2", ">u2", "<f4", ">f8", "|b1", "<i8", "<c8"]),
        "order": st.sampled_from("CF"),
        "separator": st.sampled_from("./"),
        "shape": st.lists(st.integers(0, 5), min_size=0, max_size=3).map(tuple),
        "codec": st.sampled_from(["none", "zlib", "blosc", "gzip", "zstd", "bz2", "lz4"]),
        "fill_value": st.sampled_from([0, 1, None]),
    }
)


@st.composite
def layouts(draw):
    """Return arrays and groups by path, at most three deep."""
    names = st.sampled_from(["a", "b", "labels", "0"])
    paths = draw(st.lists(st.lists(names, min_size=1, max_size=3).map("/".join), unique=True, max_size=4))
    arrays = {p: draw(CODINGS) for p in paths if not any(q.startswith(f"{p}/") or p.startswith(f"{q}/") for q in paths)}
    groups = {q.rpartition("/")[0] for q in arrays} | {"/".join(q.split("/")[:1]) for q in arrays if q.count("/") > 1}
    attributes = st.dictionaries(
        st.sampled_from(["labels", "plate", "x", "multiscales"]), st.sampled_from([1, "é", [], ["a"]])
    )
    return arrays, {g: draw(attributes) for g in sorted(groups | {""})}


def build(root, trees, layout):
    import numcodecs

    arrays, groups = layout
    for path, attributes in groups.items():
        trees.group(root / path, attributes)
    for i, (path, how) in enumerate(arrays.items()):
        how = dict(how)
        name, shape = how.pop("codec"), how.pop("shape")
        codec = None if name == "none" else numcodecs.get_codec({"id": name})
        chunks = tuple(max(1, min(2, n)) for n in shape)
        trees.array(root / path, shape, chunks=chunks, seed=i, compressors=codec, **how)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(layout=layouts(), mode=st.sampled_from(["replace", "dual"]), target=st.sampled_from(["0.5", "0.6"]))
def test_random_trees_read_the_same_and_come_back(tmp_path_factory, trees, layout, mode, target):
    root = tmp_path_factory.mktemp("tree") / "t"
    build(root, trees, layout)
    before, voxels = trees.content(root), trees.voxels(root, 2)
    report = voxarium.upgrade(root, to=target, mode=mode)
    assert report.nodes == len(layout[0]) + len(layout[1])
    assert trees.equal(voxels, trees.voxels(root, 3))
    assert trees.content(root, documents=False).items() <= before.items()
    again = voxarium.upgrade(root, to=target, mode=mode)
    assert (again.written, again.removed) == (0, 0)
    voxarium.roll_back(root)
    assert trees.content(root) == before
    assert np.all([v.shape == voxels[k].shape for k, v in trees.voxels(root, 2).items()])
