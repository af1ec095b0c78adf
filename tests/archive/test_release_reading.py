"""A release is read as it was, whatever happened since; and no writer of ours changes what it consists of."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from release_data import CONTENT, NOTHING, filled, publish

import voxarium
from voxarium.archive.manifests import write_manifest
from voxarium.archive.provenance import open_log, record
from voxarium.archive.release_checks import verify_release
from voxarium.archive.release_diff import diff_releases
from voxarium.archive.release_making import ReleaseOptions, create_release
from voxarium.archive.releases import open_dataset_store, withdraw_release
from voxarium.core.frozen import FrozenKeys, FrozenStore
from voxarium.core.release_store import ReleaseStore, open_release_store, split_reference
from voxarium.core.releases import iter_releases
from voxarium.core.uri import open_source_store, open_target_store
from voxarium.errors import ChecksumError, Code, InputError, NotFoundError, ReleaseFrozenError, StoreError
from voxarium.model.protocols import ByteRange, ListableStore, PatchableWriter, WritableStore
from voxarium.model.provenance import Activity
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore

VOXELS = np.random.default_rng(1).integers(1, 200, (19, 30, 41)).astype(np.uint8)
HOW = {"axes": "zyx", "voxel_size": 8, "unit": "nanometer", "chunk": 16, "shard": 16}


@pytest.fixture
def released():
    store = filled(MemoryStore())
    publish(store)
    return store


# --------------------------------------------------------------------------------------------------------------- store
def test_a_release_shows_its_objects_and_nothing_else(released):
    released.put("em/s0/c/9/9", b"new")
    released.put("dataset.json", b"{}")
    view = open_release_store(released, "v1.0")
    assert dict(view.list("")) == {key: len(data) for key, data in CONTENT.items()}
    assert {key: view.get(key) for key in CONTENT} == CONTENT
    assert view.get("em/s0/c/9/9") is None and view.stat("em/s0/c/9/9") is None
    assert view.get("releases/000001.json") is None and view.get_ranges("x", [ByteRange(0, 1)]) is None
    assert view.list_dir("") == (["dataset.json"], ["em", "notes"])
    assert view.list_dir("em") == (["zarr.json"], ["labels", "s0"])
    assert view.list_dir("em/s0/c/1") == (["0", "1"], []) and view.list_dir("nothing") == ([], [])
    assert dict(view.list("em/labels")) == {"em/labels/zarr.json": 14}
    assert bytes(view.get_ranges("dataset.json", [ByteRange(-3), ByteRange(0, 2)])[0]) == CONTENT["dataset.json"][-3:]
    assert view.stat("dataset.json").size == len(CONTENT["dataset.json"])
    assert isinstance(view, ListableStore) and not isinstance(view, WritableStore)
    with pytest.raises(InputError):
        view.get("../x")


def test_what_is_gone_or_has_another_size_is_never_taken_for_absent(released):
    released.delete("em/s0/c/1/0")
    released.put("em/s0/c/1/1", b"short")
    view = open_release_store(released, "v1.0")
    for key, why in (("em/s0/c/1/0", "is gone"), ("em/s0/c/1/1", "5 bytes instead of 202")):
        with pytest.raises(ChecksumError, match=why):
            view.get(key)
        with pytest.raises(ChecksumError, match=why):
            view.get_ranges(key, [ByteRange(0, 1)])


def test_digests_are_checked_when_asked_for(released):
    released.put("em/s0/c/1/1", b"x" * 202)
    assert open_release_store(released, "v1.0").get("em/s0/c/1/1") == b"x" * 202
    view = open_release_store(released, "v1.0", verify=True)
    for _ in range(2):
        with pytest.raises(ChecksumError, match="other content"):
            view.get("em/s0/c/1/1")
        with pytest.raises(ChecksumError, match="other content"):
            view.get_ranges("em/s0/c/1/1", [ByteRange(0, 1)])
    assert bytes(view.get_ranges("em/s0/c/1/0", [ByteRange(0, 1)])[0]) == b"\1"


def test_a_withdrawn_release_says_why_when_it_is_opened(released):
    withdraw_release(released, "v1.0", "two slices were swapped")
    with pytest.raises(NotFoundError, match="two slices") as caught:
        open_release_store(released, "v1.0")
    assert caught.value.code == Code.RELEASE_WITHDRAWN
    assert isinstance(open_release_store(released, "v1.0", withdrawn=True), ReleaseStore)
    with pytest.raises(NotFoundError, match=r"it has v1\.0"):
        open_release_store(released, "v2.0")


@pytest.mark.parametrize(
    ("text", "local", "found"),
    [
        ("a/b@v1", True, [("a/b", "v1", "")]),
        ("a@x/b@v1/c/d", True, [("a", "x", "b@v1/c/d"), ("a@x/b", "v1", "c/d")]),
        ("@v1", True, []),
        ("a@", True, []),
        ("s3://bucket/set@v1/em", False, [("s3://bucket/set", "v1", "em")]),
        ("https://me@example.org/set", False, []),
        ("https://me@example.org/set@v1", False, [("https://me@example.org/set", "v1", "")]),
    ],
)
def test_addresses_of_releases(text, local, found):
    assert list(split_reference(text, local=local)) == found


# -------------------------------------------------------------------------------------------------------------- images
@pytest.fixture
def dataset(tmp_path):
    """A dataset of an image and its labels, with a release."""
    np.save(tmp_path / "a.npy", VOXELS)
    root = tmp_path / "set"
    root.mkdir()
    voxarium.convert(tmp_path / "a.npy", root / "em", **HOW)
    voxarium.convert(tmp_path / "a.npy", root / "em/labels/cells", role="label", **HOW)
    (root / "dataset.json").write_text("{}")
    create_release(root, "v1.0", ReleaseOptions(policy=NOTHING, agent=None))
    return root


def snapshot(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_images_of_a_release_open_by_address(dataset, monkeypatch):
    image = voxarium.open(f"{dataset}@v1.0/em")
    assert np.array_equal(image[...], VOXELS) and image.store.uri.endswith("set@v1.0")
    assert np.array_equal(voxarium.open(f"{dataset}@v1.0/em/labels/cells")[...], VOXELS)
    assert set(voxarium.open(f"{dataset}@v1.0").keys()) >= {"em"}
    monkeypatch.chdir(dataset.parent)
    assert np.array_equal(voxarium.open("set@v1.0/em")[...], VOXELS)
    with pytest.raises(NotFoundError, match="no release v9"):
        voxarium.open(f"{dataset}@v9/em")
    with pytest.raises(NotFoundError, match="nothing at"):
        voxarium.open(f"{dataset.parent}/other@v1.0/em")


def test_a_folder_with_an_at_sign_in_its_name_is_opened_as_it_is(dataset):
    os.rename(dataset, dataset.with_name("set@v1.0"))
    assert np.array_equal(voxarium.open(f"{dataset}@v1.0/em")[...], VOXELS)
    assert np.array_equal(voxarium.open(f"{dataset}@v1.0@v1.0/em")[...], VOXELS)


def test_a_lost_chunk_of_a_release_is_an_error_and_no_fill_value(dataset):
    lost = sorted((dataset / "em/s0/c").rglob("*"))[-1]
    lost.unlink()
    with pytest.raises(ChecksumError, match="is gone"):
        voxarium.open(f"{dataset}@v1.0/em")[...]


def test_a_chunk_that_was_added_later_is_not_seen(tmp_path, dataset):
    data = VOXELS.copy()
    data[:16, :16, :16] = 0
    np.save(tmp_path / "b.npy", data)
    voxarium.convert(tmp_path / "b.npy", dataset / "lm", **HOW)
    create_release(dataset, "v1.1", ReleaseOptions(policy=NOTHING, agent=None))
    first = dataset / "lm/s0/c/0/0/0"
    assert not first.exists()
    first.write_bytes((dataset / "em/s0/c/0/0/0").read_bytes())
    assert voxarium.open(dataset / "lm")[0, 0, 0] != 0
    assert np.array_equal(voxarium.open(f"{dataset}@v1.1/lm")[...], data)


def test_a_diff_of_images_counts_voxels(tmp_path, dataset):
    data = VOXELS.copy()
    data[3:5, 2, 1] += 1
    np.save(tmp_path / "b.npy", data)
    voxarium.convert(tmp_path / "b.npy", dataset / "em-2", **HOW)
    create_release(dataset, "v1.1", ReleaseOptions(policy=NOTHING, agent=None))
    found = diff_releases(dataset, "v1.0", "v1.1", images=[("em", "em-2")])
    assert not found.changed and not found.removed and len(found.added) > 3
    (image,) = found.images
    assert image.comparison.voxels == 2 and image.comparison.box.origin == (3, 2, 1)
    assert json.loads(json.dumps(found.to_json()))["images"][0]["voxels"] == 2
    with pytest.raises(InputError, match="holds nothing at x"):
        diff_releases(dataset, "v1.0", "v1.1", images=[("x", "em")])


def test_trees_of_digests_say_what_changed_even_when_voxels_are_gone(tmp_path, dataset):
    """Somebody else's program wrote over an image and its tree; only digests tell what was there."""
    from voxarium.spec.logical_digest import dump_tree

    root = dataset
    before = dump_tree(voxarium.logical_digest(root / "em"))
    (root / "em.vldtree").write_bytes(before)
    create_release(root, "v1.1", ReleaseOptions(policy=NOTHING, agent=None))
    data = VOXELS.copy()
    data[18, 29, 40] += 1
    np.save(tmp_path / "b.npy", data)
    voxarium.convert(tmp_path / "b.npy", tmp_path / "new", **HOW)
    for path in (tmp_path / "new").rglob("*"):
        if path.is_file():
            (root / "em" / path.relative_to(tmp_path / "new")).write_bytes(path.read_bytes())
    (root / "em.vldtree").write_bytes(dump_tree(voxarium.logical_digest(root / "em")))
    create_release(root, "v1.2", ReleaseOptions(policy=NOTHING, agent=None))
    (image,) = diff_releases(root, "v1.1", "v1.2").images
    assert image.before == "em" and image.reason
    assert not verify_release(root, "v1.1").ok


# -------------------------------------------------------------------------------------------------------------- frozen
def refused(dataset, call):
    before = snapshot(dataset)
    with pytest.raises(ReleaseFrozenError) as caught:
        call()
    assert caught.value.code == Code.RELEASE_FROZEN
    assert snapshot(dataset) == before
    assert verify_release(dataset, "v1.0").ok


def test_convert_does_not_replace_a_published_image(tmp_path, dataset):
    for where in ("em", "em/labels/cells", "em/s0"):
        refused(
            dataset, lambda where=where: voxarium.convert(tmp_path / "a.npy", dataset / where, overwrite=True, **HOW)
        )


def test_resample_does_not_replace_a_published_image(dataset):
    source, target = dataset.parent / "other", dataset / "em"
    voxarium.convert(dataset.parent / "a.npy", source, **HOW)
    refused(dataset, lambda: voxarium.resample(source, target, voxel_size=16, overwrite=True))


def test_upgrade_does_not_change_a_published_image(tmp_path):
    root = tmp_path / "set"
    root.mkdir()
    np.save(tmp_path / "a.npy", VOXELS)
    voxarium.convert(
        tmp_path / "a.npy", root / "em", spec_version="0.4", **{k: v for k, v in HOW.items() if k != "shard"}
    )
    create_release(root, "v1.0", ReleaseOptions(policy=NOTHING, agent=None))
    refused(root, lambda: voxarium.upgrade(root / "em", to="0.5"))


def test_fixes_do_not_change_a_published_image(dataset, capsys):
    from voxarium.cli.main import main

    path = dataset / "em/labels/cells/zarr.json"
    path.write_text(path.read_text().replace('"../../"', '"../"'))
    create_release(dataset, "v1.1", ReleaseOptions(policy=NOTHING, agent=None))
    before = snapshot(dataset)
    main(["validate", str(dataset / "em"), "--fix"])
    assert "to repair" in capsys.readouterr().out
    assert main(["validate", str(dataset / "em"), "--fix", "--apply"]) == 1
    assert snapshot(dataset) == before
    assert "never changes" in capsys.readouterr().err


def test_files_beside_are_written_and_published_ones_are_not(dataset):
    write_manifest(dataset / "em")
    assert (dataset / "em.manifest.parquet").exists()
    create_release(dataset, "v1.1", ReleaseOptions(policy=NOTHING, agent=None))
    (dataset / "em/s0/c/note").write_text("x")
    refused(dataset, lambda: write_manifest(dataset / "em", overwrite=True))


def test_new_images_and_another_description_are_welcome(tmp_path, dataset):
    voxarium.convert(tmp_path / "a.npy", dataset / "lm", **HOW)
    voxarium.convert(tmp_path / "a.npy", dataset / "nuclei", role="label", **HOW)
    (dataset / "dataset.json").write_text('{"name": "brain"}')
    assert verify_release(dataset, "v1.0").ok
    assert voxarium.open(f"{dataset}@v1.0/em").info is not None
    create_release(dataset, "v1.1", ReleaseOptions(policy=NOTHING, agent=None))
    assert verify_release(dataset, "v1.1").ok and verify_release(dataset, "v1.0").ok


def test_labels_that_would_change_a_published_list_are_refused_before_anything_is_written(tmp_path, dataset):
    """Consolidated metadata of the image around repeat those of its labels."""
    refused(dataset, lambda: voxarium.convert(tmp_path / "a.npy", dataset / "em/labels/nuclei", role="label", **HOW))


def test_a_link_to_a_published_folder_is_no_way_around(tmp_path, dataset):
    (tmp_path / "elsewhere").symlink_to(dataset / "em")
    refused(dataset, lambda: voxarium.convert(tmp_path / "a.npy", tmp_path / "elsewhere", overwrite=True, **HOW))


def test_a_store_refuses_every_way_to_change_what_was_published(tmp_path):
    root = tmp_path / "set"
    publish(filled(LocalStore(root)))
    store = open_target_store(root / "em")
    assert isinstance(store, FrozenStore) and isinstance(store, WritableStore)
    key = "s0/c/1/0"
    for call in (
        lambda: store.put(key, b"x"),
        lambda: store.create(key),
        lambda: store.delete(key),
        lambda: store.append(key, b"x"),
        lambda: store.put(".voxarium/job.json", b"{}"),
        lambda: open_target_store(root).put("releases/000001.json", b"{}"),
        lambda: open_target_store(root).delete("releases/manifests/x"),
        lambda: open_target_store(root / "releases").put("000001.json", b"{}"),
    ):
        with pytest.raises(ReleaseFrozenError):
            call()
    assert store.put_if_absent(key, b"x") is False
    assert store.local_path(key) is None
    store.put(key, CONTENT["em/s0/c/1/0"])  # the same bytes: repairs
    (root / "em" / key).unlink()
    with pytest.raises(ReleaseFrozenError):
        store.put_if_absent(key, b"x")
    assert store.put_if_absent(key, CONTENT["em/s0/c/1/0"]) is True
    store.put("s0/c/8/8", b"new")
    store.put("labels/zarr.json", b"{}")
    writer = store.create("s0/c/8/9")
    assert isinstance(writer, PatchableWriter)
    writer.write(b"new")
    writer.commit()
    store.delete("s0/c/8/9")
    open_target_store(root).put("dataset.json", b"{}")
    assert verify_release(root, "v1.0").ok


def test_outside_of_datasets_with_releases_stores_are_as_they_are(tmp_path):
    assert isinstance(open_target_store(tmp_path / "x"), LocalStore)
    (tmp_path / "set").mkdir()
    record(tmp_path / "set", Activity(operation="ingest"))
    assert isinstance(open_target_store(tmp_path / "set/em"), LocalStore)


def test_the_log_of_a_published_dataset_goes_on(tmp_path):
    publish(filled(LocalStore(tmp_path / "set")))
    assert open_log(tmp_path / "set", writable=True).store.durable
    assert record(tmp_path / "set", Activity(operation="audit")).sequence == 1


def test_what_any_release_lists_is_frozen():
    store = filled(MemoryStore())
    publish(store)
    store.put("em/s0/c/9/9", b"new")
    store.delete("em/s0/c/0/0")
    publish(store, "v1.1")
    keys = FrozenKeys(store)
    assert keys.find("em/s0/c/9/9")[0] == "v1.1" and keys.find("em/s0/c/0/0")[0] == "v1.0"
    assert keys.find("em/s0/c/1/0")[0] == "v1.1" and keys.find("dataset.json") is None
    assert keys.find_below("em") == "v1.1" and keys.find_below("") == "v1.1" and keys.find_below("lm") is None


def test_a_dataset_whose_manifest_is_gone_is_not_written_to(tmp_path):
    root = tmp_path / "set"
    publish(filled(LocalStore(root)))
    for path in (root / "releases/manifests").iterdir():
        path.unlink()
    with pytest.raises(NotFoundError, match="manifest of release"):
        open_target_store(root / "em").put("new", b"x")


def test_on_s3_too(make_s3, monkeypatch, s3):
    store = filled(make_s3())
    publish(store)
    assert verify_release(store, "v1.0").ok
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "me"),
        ("AWS_SECRET_ACCESS_KEY", "s3cr3t"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ENDPOINT", s3),
        ("AWS_ENDPOINT_URL", s3),
        ("AWS_ALLOW_HTTP", "true"),
    ):
        monkeypatch.setenv(name, value)
    uri = store.uri
    found, path = open_source_store(f"{uri}@v1.0/em")
    assert path == "em" and found.get("em/zarr.json") == CONTENT["em/zarr.json"]
    target = open_target_store(f"{uri}/em")
    assert isinstance(target, FrozenStore)
    with pytest.raises(ReleaseFrozenError):
        target.put("s0/c/0/0", b"x")
    assert not isinstance(open_target_store(uri.rpartition("/")[0] + "/elsewhere"), FrozenStore)
    assert [s.release.name for s in iter_releases(open_dataset_store(uri))] == ["v1.0"]


def test_a_place_above_that_may_not_be_looked_at_is_no_obstacle():
    from voxarium.core.guarding import guarded

    class Closed(MemoryStore):
        def stat(self, key, /):
            raise StoreError("forbidden", code=Code.STORE_PERMISSION, fix="ask")

    class Down(MemoryStore):
        def stat(self, key, /):
            raise StoreError("no answer", code=Code.STORE_UNREADABLE, fix="wait")

    own = MemoryStore()
    assert guarded(own, "s3", "s3://b/x/y", lambda _: Closed()) is own
    with pytest.raises(StoreError):
        guarded(own, "s3", "s3://b/x/y", lambda _: Down())
    published = filled(MemoryStore())
    publish(published)
    found = guarded(own, "s3", "s3://b/x/em", lambda folder: published if folder == "s3://b/x" else MemoryStore())
    with pytest.raises(ReleaseFrozenError):
        found.put("zarr.json", b"x")
