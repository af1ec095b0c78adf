"""Other programs read release 1 after release 2 was published, by zarr-python's stores and by fsspec."""

from __future__ import annotations

import pickle
from hashlib import sha256

import numpy as np
import pytest

import voxarium
from voxarium.archive.release_making import ReleaseOptions, create_release
from voxarium.archive.release_policy import Policy
from voxarium.archive.releases import withdraw_release
from voxarium.errors import ChecksumError, InputError, NotFoundError

zarr = pytest.importorskip("zarr", minversion="3", reason="zarr-python 3 is not installed")
fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")

VOXELS = np.random.default_rng(3).integers(1, 60000, (19, 30, 41)).astype(np.uint16)
HOW = {"axes": "zyx", "voxel_size": 8, "unit": "nanometer", "chunk": 8, "levels": 1, "accept": ("all",)}
FORMATS = {
    "zarr2": {"spec_version": "0.4"},
    "zarr3": {"spec_version": "0.5", "shard": 8},
    "sharded": {"spec_version": "0.5", "shard": 16},
}


def release(root, name):
    create_release(root, name, ReleaseOptions(policy=Policy(require=frozenset()), agent=None))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Two releases: documents were replaced and images added between them, and afterwards."""
    folder = tmp_path_factory.mktemp("views")
    root = folder / "brain"
    root.mkdir()
    np.save(folder / "a.npy", VOXELS)
    np.save(folder / "b.npy", VOXELS + 1)
    (root / "dataset.json").write_text('{"name": "first"}')
    for name, options in FORMATS.items():
        voxarium.convert(folder / "a.npy", root / name, **HOW, **options)
    release(root, "v1.0")
    (root / "dataset.json").write_text('{"name": "second"}')
    for name, options in FORMATS.items():
        voxarium.convert(folder / "b.npy", root / f"{name}-2", **HOW, **options)
    release(root, "v2.0")
    (root / "dataset.json").write_text('{"name": "draft"}')
    (root / "zarr3/s0/c/9").mkdir()
    (root / "zarr3/s0/c/9/9").write_bytes(b"stray")
    return root


def level_path(dataset, name):
    return f"{name}/{voxarium.open(dataset / name).levels[0].path}"


# --------------------------------------------------------------------------------------------------------------- zarr
@pytest.mark.oracle
@pytest.mark.parametrize("name", FORMATS)
def test_zarr_python_reads_release_1_after_release_2(dataset, name):
    store = voxarium.zarr_store(f"{dataset}@v1.0")
    array = zarr.open_array(store, path=level_path(dataset, name), mode="r")
    assert np.array_equal(array[...], VOXELS)
    assert np.array_equal(array[3:9, 17:23, 40:], VOXELS[3:9, 17:23, 40:])
    group = zarr.open_group(voxarium.zarr_store(f"{dataset}@v1.0/{name}"), mode="r")
    assert voxarium.open(dataset / name).levels[0].path in set(group.keys())
    with pytest.raises(FileNotFoundError):
        zarr.open_array(store, path=level_path(dataset, f"{name}-2"), mode="r")
    second = zarr.open_array(voxarium.zarr_store(f"{dataset}@v2.0"), path=level_path(dataset, f"{name}-2"), mode="r")
    assert np.array_equal(second[...], VOXELS + 1)


def collected(keys):
    async def all_of():
        return [key async for key in keys]

    return zarr.core.sync.sync(all_of())


def test_the_store_behaves_as_zarr_python_expects(dataset):
    from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    store, whole = voxarium.zarr_store(f"{dataset}@v1.0/zarr3"), voxarium.zarr_store(f"{dataset}@v1.0")
    data = (dataset / "zarr3/zarr.json").read_bytes()
    prototype = default_buffer_prototype()

    def part(key, request=None):
        found = sync(store.get(key, prototype, request))
        return None if found is None else found.to_bytes()

    assert part("zarr.json") == data and part("nothing") is None and part("nothing", SuffixByteRequest(3)) is None
    assert part("zarr.json", RangeByteRequest(2, 7)) == data[2:7]
    assert part("zarr.json", RangeByteRequest(len(data) - 2, len(data) + 9)) == data[-2:]
    assert part("zarr.json", RangeByteRequest(len(data) + 5, len(data) + 9)) == b""
    assert part("zarr.json", OffsetByteRequest(5)) == data[5:]
    assert part("zarr.json", SuffixByteRequest(4)) == data[-4:]
    assert part("zarr.json", SuffixByteRequest(10**9)) == data
    some = sync(store.get_partial_values(prototype, [("zarr.json", RangeByteRequest(0, 1)), ("nothing", None)]))
    assert some[0].to_bytes() == b"{" and some[1] is None
    assert sync(store.exists("zarr.json")) and not sync(store.exists("s0/c/9/9"))
    assert sync(store.getsize("zarr.json")) == len(data)
    with pytest.raises(FileNotFoundError):
        sync(store.getsize("nothing"))

    assert set(collected(store.list_dir(""))) == {"zarr.json", "s0"}
    assert set(collected(store.list_dir("s0/"))) == {"zarr.json", "c"}
    assert set(collected(store.list_prefix("s0/c/0/0/"))) == {f"s0/c/0/0/{i}" for i in range(6)}
    assert set(collected(store.list_prefix("s0/zar"))) == {"s0/zarr.json"}
    assert {f"zarr3/{k}" for k in collected(store.list())} == set(collected(whole.list_prefix("zarr3/")))

    assert store.read_only and not store.supports_writes and not store.supports_deletes and store.supports_listing
    assert store.with_read_only(read_only=True) == store and store != whole
    assert str(store).endswith("brain@v1.0/zarr3") and "ReadOnlyStore" in repr(store)
    for refused in (store.set("zarr.json", None), store.delete("zarr.json")):
        with pytest.raises(ValueError, match="read-only"):
            sync(refused)
    with pytest.raises(ValueError, match="read-only"):
        store.with_read_only()


def test_the_store_is_opened_again_in_another_process(dataset):
    store = voxarium.zarr_store(f"{dataset}@v1.0", verify=True)
    raw = pickle.dumps(store)
    assert len(raw) < 1000, "the list of all objects does not travel"
    again = pickle.loads(raw)
    assert again == store
    assert np.array_equal(zarr.open_array(again, path="zarr3/s0", mode="r")[...], VOXELS)


def test_a_lost_chunk_is_an_error_for_zarr_python_and_fsspec(tmp_path):
    np.save(tmp_path / "a.npy", VOXELS)
    (tmp_path / "set").mkdir()
    voxarium.convert(tmp_path / "a.npy", tmp_path / "set/em", **HOW, **FORMATS["zarr3"])
    release(tmp_path / "set", "v1.0")
    (tmp_path / "set/em/s0/c/0/0/0").unlink()
    changed = tmp_path / "set/em/s0/c/0/0/1"
    changed.write_bytes(changed.read_bytes()[::-1])
    address = f"{tmp_path}/set@v1.0"
    array = zarr.open_array(voxarium.zarr_store(address), path="em/s0", mode="r")
    with pytest.raises(ChecksumError, match="is gone"):
        array[0, 0, 0]
    array = zarr.open_array(voxarium.zarr_store(address, verify=True), path="em/s0", mode="r")
    with pytest.raises(ChecksumError, match="other content"):
        array[0, 0, 8]
    files = fsspec.filesystem("voxarium", skip_instance_cache=True)
    with pytest.raises(ChecksumError, match="is gone"):
        files.cat_file(f"{address}/em/s0/c/0/0/0")
    with pytest.raises(ChecksumError, match="other content"):
        fsspec.filesystem("voxarium", verify=True).cat_file(f"{address}/em/s0/c/0/0/1", 0, 3)


def test_folders_and_archives_that_are_no_releases_are_read_too(tmp_path, dataset):
    assert np.array_equal(zarr.open_array(voxarium.zarr_store(dataset / "zarr3"), path="s0", mode="r")[...], VOXELS)
    np.save(tmp_path / "a.npy", VOXELS)
    voxarium.convert(tmp_path / "a.npy", tmp_path / "em.ozx", **HOW)
    assert np.array_equal(zarr.open_array(voxarium.zarr_store(tmp_path / "em.ozx"), path="s0", mode="r")[...], VOXELS)
    with pytest.raises(InputError, match="no release"):
        voxarium.zarr_store(dataset / "zarr3", verify=True)
    with pytest.raises(NotFoundError, match=r"no release v9"):
        voxarium.zarr_store(f"{dataset}@v9")


# ------------------------------------------------------------------------------------------------------------- fsspec
def test_fsspec_finds_the_file_system_and_reads_release_1(dataset):
    with fsspec.open(f"voxarium://{dataset}@v1.0/dataset.json") as file:
        assert file.read() == b'{"name": "first"}'
    with fsspec.open(f"voxarium://{dataset}@v2.0/dataset.json") as file:
        assert file.read(12) == b'{"name": "se' and file.seek(-3, 2) and file.read() == b'd"}'
    files, path = fsspec.core.url_to_fs(f"voxarium://{dataset}@v1.0/zarr3")
    assert path == f"{dataset}@v1.0/zarr3"
    assert sorted(files.ls(path, detail=False)) == [f"{path}/s0", f"{path}/zarr.json"]
    kinds = {i["name"].rpartition("/")[2]: (i["type"], i["size"]) for i in files.ls(path)}
    assert kinds == {"s0": ("directory", 0), "zarr.json": ("file", (dataset / "zarr3/zarr.json").stat().st_size)}
    data = (dataset / "zarr3/zarr.json").read_bytes()
    assert files.checksum(f"{path}/zarr.json") == files.ukey(f"{path}/zarr.json") == sha256(data).hexdigest()
    assert (
        files.cat_file(f"{path}/zarr.json", 2, 9) == data[2:9] and files.cat_file(f"{path}/zarr.json", -4) == data[-4:]
    )
    assert files.exists(f"{path}/s0") and not files.exists(f"{path}/s0/c/9/9") and files.isdir(path)
    assert files.glob(f"{path}/s0/c/0/0/*") == [f"{path}/s0/c/0/0/{i}" for i in range(6)]
    assert files.find(f"{path}/zarr.json") == [f"{path}/zarr.json"]
    found = files.find(f"{dataset}@v1.0")
    assert found == files.find(f"{dataset}@v1.0/", maxdepth=99) and f"{dataset}@v1.0/dataset.json" in found
    assert files.find(path, detail=True)[f"{path}/zarr.json"]["size"] == len(data)
    assert files.walk(path) and files.du(path) == sum(i["size"] for i in files.find(path, detail=True).values())
    assert pickle.loads(pickle.dumps(files)).cat_file(f"{path}/zarr.json") == data


def test_a_mapper_of_fsspec_is_a_mapping_of_keys(dataset):
    mapper = fsspec.get_mapper(f"voxarium://{dataset}@v1.0/zarr2")
    assert mapper[".zattrs"] == (dataset / "zarr2/.zattrs").read_bytes() and "nothing" not in mapper
    assert mapper.get("s0/9.9") is None and {k.partition("/")[0] for k in mapper} >= {".zattrs", ".zgroup"}


def test_relative_paths_and_addresses_of_other_places(dataset, monkeypatch, tmp_path):
    monkeypatch.chdir(dataset.parent)
    with fsspec.open("voxarium://brain@v1.0/dataset.json") as file:
        assert file.read() == b'{"name": "first"}'
    fs = fsspec.get_filesystem_class("voxarium")
    assert fs._strip_protocol("voxarium://s3://bucket/set@v1/em/") == "s3://bucket/set@v1/em"
    assert fs._strip_protocol(["voxarium:///a@v1/"]) == ["/a@v1"] and fs._parent("voxarium:///a@v1/em/x") == "/a@v1/em"


@pytest.mark.parametrize(
    "path", ["{}@v9/dataset.json", "{}/dataset.json", "{}@v1.0/nothing", "{}@v1.0/../brain", "/x@v1"]
)
def test_what_is_not_there_is_an_error_of_files(dataset, path):
    files = fsspec.filesystem("voxarium")
    with pytest.raises(FileNotFoundError):
        files.info(path.format(dataset))
    with pytest.raises(FileNotFoundError):
        files.cat_file(path.format(dataset))


def test_nothing_is_written(dataset):
    files, path = fsspec.filesystem("voxarium"), f"{dataset}@v1.0/dataset.json"
    for call in (
        lambda: files.open(path, "wb"),
        lambda: files.pipe_file(path, b"x"),
        lambda: files.rm(path),
        lambda: files.mkdir(f"{path}x"),
        lambda: files.makedirs(f"{path}x"),
        lambda: files.rmdir(f"{dataset}@v1.0/zarr3"),
        lambda: files.cp_file(path, f"{path}2"),
        lambda: files.mv(path, f"{path}2"),
        lambda: files.touch(path),
    ):
        with pytest.raises((OSError, NotImplementedError)):
            call()
    for path in (f"{dataset}@v1.0", f"{dataset}@v1.0/zarr3"):
        with pytest.raises(IsADirectoryError):
            files.cat_file(path)
        with pytest.raises(IsADirectoryError):
            files.open(path)


@pytest.mark.oracle
@pytest.mark.parametrize("name", FORMATS)
def test_zarr_python_reads_a_release_by_its_address_alone(dataset, name):
    pytest.importorskip("fsspec.implementations.asyn_wrapper", reason="this fsspec cannot be used from zarr-python")
    array = zarr.open_array(f"voxarium://{dataset}@v1.0/{level_path(dataset, name)}", mode="r")
    assert np.array_equal(array[...], VOXELS)


def test_a_withdrawn_release_says_why(tmp_path):
    (tmp_path / "set/em").mkdir(parents=True)
    (tmp_path / "set/em/x").write_bytes(b"x")
    release(tmp_path / "set", "v1")
    withdraw_release(tmp_path / "set", "v1", "slices were swapped")
    with pytest.raises(FileNotFoundError, match="slices were swapped"):
        fsspec.filesystem("voxarium").cat_file(f"{tmp_path}/set@v1/em/x")
    with pytest.raises(NotFoundError, match="slices were swapped"):
        voxarium.zarr_store(f"{tmp_path}/set@v1")
