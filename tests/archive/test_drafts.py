"""Drafts: edits of published voxels cost about what they change, and everything published stays as it is."""

from __future__ import annotations

import contextlib
import http.server
import itertools
import json
import re
import shutil
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from release_data import NOTHING
from typer.testing import CliRunner

import voxarium
from voxarium.archive.draft_editing import open_draft
from voxarium.archive.drafts import create_draft, discard_draft, draft_status
from voxarium.archive.log_reading import LogReader
from voxarium.archive.release_checks import verify_release
from voxarium.archive.release_making import ReleaseOptions, create_release
from voxarium.archive.releases import open_dataset_store, withdraw_release
from voxarium.archive.retention import CollectOptions, collect
from voxarium.cli.main import app
from voxarium.core.drafts import find_draft, newest_draft
from voxarium.core.opening import open_array, open_in
from voxarium.core.release_store import open_release_store
from voxarium.errors import (
    ChecksumError,
    ConflictError,
    ExistsError,
    InputError,
    NotFoundError,
    ReleaseFrozenError,
    UnsupportedError,
    VoxariumError,
)
from voxarium.model.protocols import ByteRange
from voxarium.spec.manifest import dump_manifest, parse_manifest
from voxarium.spec.release import draft_key, release_key
from voxarium.stores.fault import FaultRule, FaultStore
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore

SHAPE = (40, 37, 50)
VOXELS = np.random.default_rng(1).integers(1, 200, SHAPE).astype(np.uint8)
BOX = (slice(3, 13), slice(5, 15), slice(4, 14))
HOW = {"axes": "zyx", "voxel_size": 8, "unit": "nanometer", "chunk": 16, "shard": 32, "levels": 1}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def publish(dataset, name="v1.0", **options):
    return create_release(dataset, name, ReleaseOptions(policy=NOTHING, agent=None, **options))


def dataset(folder, voxels=VOXELS, **how):
    np.save(folder / "voxels.npy", voxels)
    voxarium.convert(folder / "voxels.npy", folder / "brain/em", **(HOW | how))
    (folder / "brain/dataset.json").write_text('{"name": "brain"}')
    publish(folder / "brain")
    return str(folder / "brain")


def loaded(folder):
    """Return a dataset as a store in memory."""
    store, local = MemoryStore(), LocalStore(folder)
    for key, _ in local.list(""):
        store.put(key, local.get(key))
    return store


def snapshot(store):
    return {k: store.get(k) for k, _ in store.list("")}


def stored_bytes(folder):
    return sum(p.stat().st_size for p in Path(folder).rglob("*") if p.is_file())


def edited(voxels=VOXELS, box=BOX, value=7):
    out = voxels.copy()
    out[box] = value
    return out


def voxels_of(store, name, path="em/s0"):
    return open_array(open_release_store(store, name), path)[...]


# -------------------------------------------------------------------------------------------------------------- editing
def test_a_draft_is_read_edited_and_published(tmp_path):
    brain = dataset(tmp_path)
    with voxarium.open_draft(brain) as draft:
        array = draft["em"]
        assert (array.path, array.shape, array.dtype) == ("em/s0", SHAPE, np.uint8)
        array[BOX] = 7
        array[0, ..., 2] = np.arange(SHAPE[1])
        wanted = edited()
        wanted[0, :, 2] = np.arange(SHAPE[1])
        assert np.array_equal(array[...], wanted) and np.array_equal(draft["em"][2:9, 5], wanted[2:9, 5])
        assert np.array_equal(voxarium.open(f"{brain}@v1.0/em")[...], VOXELS)
    image = voxarium.open(f"{brain}@draft/em")
    assert np.array_equal(image[...], wanted) and np.array_equal(image[3:7, 10:, -1], wanted[3:7, 10:, -1])
    assert publish(brain, "v1.1", draft="draft").created
    for name, voxels in (("v1.0", VOXELS), ("v1.1", wanted)):
        assert np.array_equal(voxarium.open(f"{brain}@{name}/em")[...], voxels)
        report = verify_release(brain, name)
        assert report.ok and report.objects.read == report.objects.objects
        checked = open_release_store(open_dataset_store(brain), name, verify=True)
        assert np.array_equal(open_in(checked, "em")[...], voxels)
    assert np.array_equal(voxarium.open(f"{brain}/em")[...], VOXELS)
    with pytest.raises(NotFoundError, match=r"no open draft draft: it was published as v1\.1"):
        voxarium.open(f"{brain}@draft/em")


def test_a_thousand_voxels_cost_about_one_chunk(tmp_path):
    voxels = np.random.default_rng(2).integers(0, 255, (160, 128, 128)).astype(np.uint8)
    brain = dataset(tmp_path, voxels, chunk=64, shard=128)
    before = {p: p.read_bytes() for p in Path(brain).rglob("*") if p.is_file()}
    size = stored_bytes(brain)
    with voxarium.open_draft(brain) as draft:
        draft["em"][10:20, 10:20, 10:20] = 9
    report = publish(brain, "v1.1", draft="draft")
    chunk = max(p.stat().st_size for p in Path(brain, "releases/objects").iterdir())
    added = stored_bytes(brain) - size
    assert 60**3 < chunk < 64**3 * 1.01 and added < 1.1 * chunk, (added, chunk)
    assert report.new_objects == 1 and chunk < report.new_bytes < 1.01 * chunk
    assert {p: p.read_bytes() for p in before if "provenance-log" not in str(p)} == {
        p: data for p, data in before.items() if "provenance-log" not in str(p)
    }
    assert np.array_equal(voxarium.open(f"{brain}@v1.1/em")[...], edited(voxels, (slice(10, 20),) * 3, 9))


def test_a_shard_of_a_draft_is_one_that_other_programs_read(tmp_path):
    zarr = pytest.importorskip("zarr")
    brain = dataset(tmp_path)
    with voxarium.open_draft(brain) as draft:
        draft["em"][BOX] = 7
        draft["em"][30:, 20:, 40:] = 3
    publish(brain, "v1.1", draft="draft")
    for name, wanted in (
        ("v1.0", VOXELS),
        ("v1.1", edited(edited(), (slice(30, 40), slice(20, 37), slice(40, 50)), 3)),
    ):
        store = open_release_store(open_dataset_store(brain), name)
        for key, size in store.list(""):
            data = store.get(key)
            assert len(data) == size
            parts = store.get_ranges(key, [ByteRange(-1), ByteRange(0, 1), ByteRange(size // 3, size // 2)])
            assert [bytes(p) for p in parts] == [data[-1:], data[:1], data[size // 3 : size // 3 + size // 2]]
            path = tmp_path / name / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        assert np.array_equal(zarr.open_array(tmp_path / name / "em/s0", mode="r")[...], wanted)
        assert np.array_equal(voxarium.open(tmp_path / name / "em")[...], wanted)
        tensorstore = pytest.importorskip("tensorstore")
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(tmp_path / name / "em/s0")}}
        assert np.array_equal(tensorstore.open(spec).result().read().result(), wanted)


@pytest.fixture
def over_http():
    """Serve stores over HTTP with ranges, and nothing else; return the address of each."""
    servers = []

    def serve(store):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                key = self.path.strip("/")
                stat = store.stat(key)
                if stat is None:
                    return self.answer(404, b"")
                wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("range", ""))
                if wanted is None:
                    return self.answer(200, store.get(key))
                first, last = wanted[1], wanted[2]
                start = int(first) if first else max(0, stat.size - int(last))
                stop = min(int(last) + 1, stat.size) if first and last else stat.size
                part = bytes(store.get_ranges(key, [ByteRange(start, stop - start)])[0])
                return self.answer(206, part, f"bytes {start}-{stop - 1}/{stat.size}")

            def do_HEAD(self):
                stat = store.stat(self.path.strip("/"))
                self.answer(404 if stat is None else 200, None, size=0 if stat is None else stat.size)

            def answer(self, status, body, part="", size=0):
                self.send_response(status)
                self.send_header("content-length", str(size if body is None else len(body)))
                self.send_header("accept-ranges", "bytes")
                if part:
                    self.send_header("content-range", part)
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield serve
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore")
def test_others_read_every_release_and_draft_over_http(tmp_path, over_http):
    tensorstore, zarr = pytest.importorskip("tensorstore"), pytest.importorskip("zarr")
    pytest.importorskip("aiohttp")
    brain = dataset(tmp_path)
    with voxarium.open_draft(brain) as draft:
        draft["em"][BOX] = 7
    publish(brain, "v1.1", draft="draft")
    with voxarium.open_draft(brain) as draft:
        draft["em"][:3] = 8
    store = open_dataset_store(brain)
    for name, wanted in (("v1.0", VOXELS), ("v1.1", edited()), ("draft", edited(edited(), (slice(3),), 8))):
        url = over_http(open_release_store(store, name))
        spec = {"driver": "zarr3", "kvstore": {"driver": "http", "base_url": url, "path": "/em/s0/"}}
        assert np.array_equal(tensorstore.open(spec).result().read().result(), wanted), name
        assert np.array_equal(zarr.open_array(f"{url}/em/s0", mode="r")[...], wanted), name


def test_edits_of_edits_do_not_pile_up(tmp_path):
    brain = dataset(tmp_path)
    wanted = VOXELS.copy()
    rng = np.random.default_rng(3)
    for n in range(6):
        with voxarium.open_draft(brain) as draft:
            for _ in range(3):
                low = [int(rng.integers(0, s - 4)) for s in SHAPE]
                box = tuple(slice(a, a + 4) for a in low)
                draft["em"][box] = wanted[box] = int(rng.integers(0, 255))
        if n % 2:
            publish(brain, f"v1.{n}", draft="draft")
            assert np.array_equal(voxarium.open(f"{brain}@v1.{n}/em")[...], wanted)
            assert verify_release(brain, f"v1.{n}").ok
        else:
            assert np.array_equal(voxarium.open(f"{brain}@draft/em")[...], wanted)
    store = open_dataset_store(brain)
    for key, _ in store.list("releases/pieces"):
        pieces = json.loads(store.get(key))["pieces"]
        assert not any(p[0].startswith("releases/pieces") for p in pieces) and len(pieces) < 60
    assert np.array_equal(voxarium.open(f"{brain}@v1.0/em")[...], VOXELS)


def test_the_same_edits_in_another_order_are_the_same_release(tmp_path):
    roots = set()
    boxes = [(0, 0, 0), (20, 3, 3), (1, 30, 40), (33, 20, 4)]
    for order in ((0, 1, 2, 3), (3, 1, 0, 2)):
        folder = tmp_path / str(order[0])
        folder.mkdir()
        brain = dataset(folder)
        for i in order:
            with voxarium.open_draft(brain) as draft:
                draft["em"][tuple(slice(a, a + 3) for a in boxes[i])] = i
        roots.add(publish(brain, "v1.1", draft="draft").release.release.manifest.sha256)
    assert len(roots) == 1


def test_consolidated_shards_are_whole_and_have_no_unused_bytes(tmp_path):
    brain = dataset(tmp_path)
    with voxarium.open_draft(brain) as draft:
        draft["em"][BOX] = 7
    report = publish(brain, "v1.1", draft="draft", consolidate=True)
    assert report.new_objects == 1
    view = open_release_store(open_dataset_store(brain), "v1.1")
    assert not view.manifest.composed and np.array_equal(open_in(view, "em")[...], edited())
    key = "em/s0/c/0/0/0"
    assert view.manifest.location(view.manifest.find(key))[0].startswith("releases/objects/")
    spans = open_array(view, "em/s0")
    assert len(view.get(key)) == sum(len(bytes(p)) for _, p in spans.payloads(_chunks())) + 8 * 16 + 4
    assert verify_release(brain, "v1.1").ok


def _chunks():
    return list(itertools.product(range(2), repeat=3))


def test_chunks_become_empty_and_full_again(tmp_path):
    voxels = VOXELS.copy()
    voxels[:16, :16, :16] = 0
    brain = dataset(tmp_path, voxels)
    with voxarium.open_draft(brain) as draft:
        array = draft["em"]
        array[16:32, :16, :16] = 0  # a chunk that is absent then
        array[2, 3, 4] = 1  # one that was
        array[...] = array[...]  # changes nothing
    wanted = voxels.copy()
    wanted[16:32, :16, :16] = 0
    wanted[2, 3, 4] = 1
    publish(brain, "v1.1", draft="draft")
    assert np.array_equal(voxarium.open(f"{brain}@v1.1/em")[...], wanted)
    with voxarium.open_draft(brain) as draft:
        draft["em"][...] = 0
    publish(brain, "v1.2", draft="draft")
    assert not voxarium.open(f"{brain}@v1.2/em")[...].any()
    with voxarium.open_draft(brain, base="v1.2") as draft:
        draft["em"][...] = voxels
    publish(brain, "v1.3", draft="draft")
    assert np.array_equal(voxarium.open(f"{brain}@v1.3/em")[...], voxels)
    for name in ("v1.0", "v1.1", "v1.2", "v1.3"):
        assert verify_release(brain, name).ok


@pytest.mark.parametrize(
    ("target", "how"),
    [
        ("em", {"shard": None}),
        ("em", {"format": "ome-zarr", "spec_version": "0.4", "shard": None}),
        ("em", {"format": "n5-viewer", "shard": None}),
        ("em", {"format": "precomputed", "shard": None}),
        ("em", {"format": "precomputed", "shard": 32}),
        ("em", {"format": "webknossos", "chunk": 32, "shard": 128}),
    ],
)
def test_other_containers_can_be_edited(tmp_path, target, how):
    np.save(tmp_path / "voxels.npy", VOXELS)
    try:
        voxarium.convert(tmp_path / "voxels.npy", tmp_path / "brain" / target, **(HOW | how))
    except InputError as error:
        pytest.skip(str(error))
    brain = str(tmp_path / "brain")
    publish(brain)
    first = voxarium.open(f"{brain}@v1.0/{target}")
    array = first.arrays[0]
    at = tuple(slice(3, 9) for _ in array.shape)
    wanted = array[...]
    assert wanted.size == VOXELS.size
    at = tuple(slice(3, 9) if n > 9 else slice(None) for n in array.shape)
    wanted[at] = 77
    with voxarium.open_draft(brain) as draft:
        draft[array.path][at] = 77
    assert np.array_equal(voxarium.open(f"{brain}@draft/{target}").arrays[0][...], wanted)
    publish(brain, "v1.1", draft="draft")
    assert np.array_equal(voxarium.open(f"{brain}@v1.1/{target}").arrays[0][...], wanted)
    assert np.array_equal(voxarium.open(f"{brain}@v1.0/{target}").arrays[0][...], array[...])
    assert verify_release(brain, "v1.1").ok
    with voxarium.open_draft(brain) as draft:
        draft[array.path][at] = 78
    publish(brain, "v1.2", draft="draft", consolidate=True)
    wanted[at] = 78
    assert np.array_equal(voxarium.open(f"{brain}@v1.2/{target}").arrays[0][...], wanted)


def test_values_that_do_not_fit_are_refused_and_nothing_is_stored(tmp_path):
    store = loaded(dataset(tmp_path))
    draft = open_draft(store)
    before = snapshot(store)
    array = draft["em"]
    for values in (256, -1, 1.5, np.float32(2), np.array([1, 300]), "x", None):
        with pytest.raises(InputError):
            array[0, 0, :2] = values
    with pytest.raises(InputError, match="do not fit a region"):
        array[0, 0, :2] = [1, 2, 3]
    for selection in ((slice(0, 4, 2),), (None,), (slice(None, None, -1),), (50,), (0, 0, 0, 0)):
        with pytest.raises(InputError):
            array[selection] = 1
    with pytest.raises(InputError, match="not inside"):
        array.write(voxarium.Box((0, 0, 0), (1, 1, 99)), 1)
    array[5:5] = 1
    draft.flush()
    assert snapshot(store) == before
    with pytest.raises(NotFoundError):
        draft["nothing"]
    with contextlib.suppress(ZeroDivisionError), draft:
        array[0] = 1
        raise ZeroDivisionError
    assert snapshot(store) == before


def test_levels_of_an_image_can_be_edited_one_by_one(tmp_path):
    brain = dataset(tmp_path, levels=3)
    with voxarium.open_draft(brain) as draft:
        draft["em/s1"][1, 2, 3] = 5
        draft.array("em", levels="keep")[0, 0, 0] = 201
    found = voxarium.open(f"{brain}@draft/em").arrays
    before = voxarium.open(f"{brain}@v1.0/em").arrays
    assert [a.shape for a in found] == [SHAPE, (20, 19, 25), (10, 10, 13)]
    assert (found[0][0, 0, 0], found[1][1, 2, 3]) == (201, 5)
    assert [int((a[...] != b[...]).sum()) for a, b in zip(found, before, strict=True)] == [1, 1, 0]


def test_images_that_are_files_cannot_be_edited(tmp_path):
    (tmp_path / "brain").mkdir()
    np.save(tmp_path / "brain/em.npy", VOXELS)
    publish(tmp_path / "brain")
    with pytest.raises(UnsupportedError, match="cannot be edited"):
        voxarium.open_draft(tmp_path / "brain")["em.npy"]


# --------------------------------------------------------------------------------------------------------------- drafts
def test_drafts_are_created_once_and_discarded(tmp_path):
    store = loaded(dataset(tmp_path))
    with pytest.raises(InputError, match="no name of a draft"):
        create_draft(store, "v2")
    with pytest.raises(InputError, match="no name of a release"):
        publish(store, "draft-2")
    found = create_draft(store, "draft-cells", note="proofreading")
    assert found.state.base == "v1.0" and find_draft(store, "draft-cells").document == found.document
    with pytest.raises(ExistsError):
        create_draft(store, "draft-cells")
    with open_draft(store, "draft-cells") as draft:
        draft["em"][BOX] = 7
    status = draft_status(store, "draft-cells")
    assert list(status.state.edits) == ["em/s0/c/0/0/0"] and 1000 < status.stored < 20000 and status.behind == ()
    assert np.array_equal(voxels_of(store, "draft-cells"), edited())
    discard_draft(store, "draft-cells")
    with pytest.raises(NotFoundError, match="it was discarded"):
        open_release_store(store, "draft-cells")
    assert create_draft(store, "draft-cells").state.sequence == 4
    draft["em"][0] = 1
    with pytest.raises(ConflictError, match="another draft of this name"):
        draft.flush()
    with pytest.raises(NotFoundError, match="nothing of it was published"):
        create_draft(MemoryStore(), base="v1.0")
    with pytest.raises(NotFoundError, match="no release to begin from"):
        open_draft(MemoryStore())


def test_two_who_edit_one_draft_do_not_overwrite_each_other(tmp_path):
    store = loaded(dataset(tmp_path))
    one, other = open_draft(store), open_draft(store)
    one["em"][0, 0, 0] = 1
    other["em"][0, 0, 1] = 2  # of the same chunk
    one.flush()
    other.flush()
    found = voxels_of(store, "draft")
    assert found[0, 0, :2].tolist() == [1, 2] and np.array_equal(found[1:], VOXELS[1:])


def test_many_who_edit_one_draft_lose_nothing(tmp_path):
    brain = dataset(tmp_path)
    create_draft(brain)
    errors = []

    def work(n):
        try:
            for k in range(4):
                with voxarium.open_draft(brain) as draft:
                    draft["em"][n, k, :10] = 200 + n
        except BaseException as error:  # noqa: BLE001  reported below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors
    found = voxarium.open(f"{brain}@draft/em")[...]
    wanted = VOXELS.copy()
    for n in range(4):
        wanted[n, :4, :10] = 200 + n
    assert np.array_equal(found, wanted)


def test_a_draft_of_an_old_release_is_published_unless_the_same_was_changed_since(tmp_path):
    store = loaded(dataset(tmp_path))
    for name, corner in (("draft-a", 0), ("draft-b", 20), ("draft-c", 1)):
        with open_draft(store, name) as draft:
            draft["em"][corner : corner + 3, 33:36, :3] = 9
    publish(store, "v1.1", draft="draft-a")
    assert draft_status(store, "draft-b").behind == ("v1.1",)
    with pytest.raises(ConflictError, match=r"em/s0/c/0/1/0 was changed by release v1\.1"):
        publish(store, "v1.2", draft="draft-c")
    with open_draft(store, "draft-d", base="v1.0") as draft:
        draft["em"][33:36, :3, :3] = 8
    publish(store, "v1.2", draft="draft-d")
    wanted = VOXELS.copy()
    wanted[:3, 33:36, :3] = 9
    wanted[33:36, :3, :3] = 8
    assert np.array_equal(voxels_of(store, "v1.2"), wanted)


def test_later_releases_go_on_from_edits(tmp_path):
    brain = dataset(tmp_path)
    with voxarium.open_draft(brain) as draft:
        draft["em"][BOX] = 7
    publish(brain, "v1.1", draft="draft")
    Path(brain, "dataset.json").write_text('{"name": "brain", "license": "CC0-1.0"}')
    Path(brain, "notes.bin").write_bytes(b"new")
    report = publish(brain, "v1.2")
    assert report.new_objects == 2 and np.array_equal(voxarium.open(f"{brain}@v1.2/em")[...], edited())
    assert report.release.release.license == "CC0-1.0" and verify_release(brain, "v1.2").ok
    with pytest.raises(ReleaseFrozenError):
        voxarium.convert(tmp_path / "voxels.npy", f"{brain}/em", **HOW, overwrite=True)
    assert not publish(brain, "v1.1", draft="draft").created and not publish(brain, "v1.2").created


def test_edited_objects_cannot_be_written_beside_the_edit(tmp_path):
    brain = dataset(tmp_path, shard=None)
    folder = Path(brain, "em/s0/c/0/0")
    absent = "em/s0/c/0/0/9"
    with voxarium.open_draft(brain) as draft:
        draft["em"][BOX] = 7
    publish(brain, "v1.1", draft="draft")
    store = open_dataset_store(brain)
    data = store.get("em/s0/c/0/0/0")
    assert folder.joinpath("0").read_bytes() == data and absent
    voxarium.core.uri.open_target_store(brain).put("em/s0/c/0/0/0", data)  # a repair of what v1.0 has there
    store.put("em/s0/c/0/0/0", b"foreign programs do that")
    assert ("em/s0/c/0/0/0", "truncated") in {(p.key, p.kind) for p in verify_release(brain, "v1.0").problems}


def test_digests_beside_an_edited_image_do_not_become_part_of_the_release(tmp_path):
    brain = dataset(tmp_path)
    Path(brain, "em.vldtree").write_bytes(b"of the old voxels")
    publish(brain, "v1.1")
    with voxarium.open_draft(brain) as draft:
        draft["em"][BOX] = 7
    publish(brain, "v1.2", draft="draft")
    publish(brain, "v1.3")
    for name, there in (("v1.1", True), ("v1.2", False), ("v1.3", False)):
        assert (open_release_store(open_dataset_store(brain), name).stat("em.vldtree") is not None) is there
        assert verify_release(brain, name).ok
    document = json.loads(Path(brain, release_key(4)).read_bytes())
    assert document["omits"] == ["em.vldtree"] and "omits" not in json.loads(Path(brain, release_key(2)).read_bytes())


def test_edits_are_in_the_log_once(tmp_path):
    brain = dataset(tmp_path)
    with voxarium.open_draft(brain, note="proofread") as draft:
        draft["em"][BOX] = 7
    for _ in range(2):
        publish(brain, "v1.1", draft="draft")
    found = [a.activity for a in LogReader(open_dataset_store(brain)).activities() if a.activity.operation == "edit"]
    assert [(a.note, [o.address for o in a.outputs]) for a in found] == [("proofread", ["em/s0/c/0/0/0"])]
    assert found[0].inputs[0].address == release_key(1)


# ------------------------------------------------------------------------------------------------------------------ cli
def test_commands_begin_show_publish_and_discard_drafts(tmp_path):
    brain = dataset(tmp_path)

    def run(*words, code=0):
        result = CliRunner().invoke(app, ["release", *words])
        assert result.exit_code == code, result.output
        return result.output

    assert "draft is open, and edits v1.0" in run("draft", "create", brain, "--note", "cells")
    with voxarium.open_draft(brain) as draft:
        draft["em"][BOX] = 7
    text = run("draft", "status", brain)
    assert "em/s0/c/0/0/0" in text and "1 differ" in text and "cells" in text
    shown = json.loads(run("draft", "status", brain, "--json"))
    assert (shown["base"], shown["behind"], len(shown["edits"])) == ("v1.0", [], 1) and shown["stored_bytes"] > 1000
    policy = tmp_path / "policy.json"
    policy.write_text('{"require": []}')
    create = ("create", brain, "v1.1", "--policy", str(policy))
    run(*create, "--consolidate", code=1)
    assert "1 objects and" in run(*create, "--draft", "draft", "--dry-run")
    assert "v1.1 published" in run(*create, "--draft", "draft")
    assert "was published before" in run(*create, "--draft", "draft")
    run("draft", "create", brain, "draft-2", "--quiet")
    assert "is discarded, with edits of 0 objects" in run("draft", "discard", brain, "draft-2")
    assert json.loads(run("draft", "list", brain, "--json"))["drafts"] == [
        {"name": "draft", "state": "published", "base": "v1.0", "release": "v1.1"},
        {"name": "draft-2", "state": "discarded", "base": "v1.1", "release": None},
    ]
    assert "published as v1.1, of v1.0" in run("draft", "list", brain)
    diff = json.loads(run("diff", brain, "v1.0", "v1.1", "--image", "em", "--json"))
    assert [o["key"] for o in diff["changed"]] == ["em/s0/c/0/0/0"]
    assert diff["images"][0]["voxels"] == int((VOXELS[BOX] != 7).sum())


# --------------------------------------------------------------------------------------------------------------- damage
def test_damage_to_any_piece_is_named_and_never_read(tmp_path):
    brain = dataset(tmp_path)
    with voxarium.open_draft(brain) as draft:
        draft["em"][BOX] = 7
    publish(brain, "v1.1", draft="draft")
    store = loaded(brain)
    key = "em/s0/c/0/0/0"
    places = [k for k, _ in store.list("releases/pieces")] + [k for k, n in store.list("releases/objects") if n > 1000]
    assert len(places) == 2
    for place in (*places, key):
        good = store.get(place)
        cut = good[:-40] if place == key else good[:-1]  # the last bytes of the old shard are not used any more
        for bad in (None, cut, good[:50] + bytes([good[50] ^ 1]) + good[51:], b""):
            store.delete(place)
            if bad is not None:
                store.put(place, bad)
            problems = {p.key for p in verify_release(store, "v1.1").problems}
            assert problems == {key}, (place, bad and len(bad), problems)
            view = open_release_store(store, "v1.1", verify=True)
            with pytest.raises(VoxariumError):
                view.get(key)
            if bad is None or len(bad) < len(good):
                with pytest.raises(VoxariumError):
                    open_release_store(store, "v1.1").get(key)
        store.put(place, good)
    assert verify_release(store, "v1.1").ok
    store.delete(places[1])
    with pytest.raises(ChecksumError, match="cannot be put together"):
        open_release_store(store, "v1.1").get(key)


def test_readers_that_know_no_pieces_refuse_such_a_manifest(tmp_path):
    brain = dataset(tmp_path)
    with voxarium.open_draft(brain) as draft:
        draft["em"][BOX] = 7
    publish(brain, "v1.1", draft="draft")
    view = open_release_store(open_dataset_store(brain), "v1.1")
    assert b'"version": 2' in dump_manifest(view.manifest)
    first = open_release_store(open_dataset_store(brain), "v1.0").manifest
    assert b'"version": 1' in dump_manifest(first) and not first.composed
    newer = dump_manifest(view.manifest).replace(b'"version": 2', b'"version": 3')
    with pytest.raises(voxarium.VoxariumError, match="needs a newer Voxarium"):
        parse_manifest(newer, "x")


class Stopped(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("kind", ["error", "lost-answer", "stopped"])
def test_whenever_a_writer_is_stopped_the_draft_and_all_releases_are_whole(tmp_path, kind):
    clean = snapshot(loaded(dataset(tmp_path)))
    done = 0
    for n in range(1, 500):
        store = MemoryStore(clean)
        rule = FaultRule(nth=n, error=Stopped()) if kind == "stopped" else FaultRule(nth=n, kind=kind)
        faulty = FaultStore(store, [rule])
        with contextlib.suppress(Stopped, VoxariumError):
            with open_draft(faulty) as draft:
                draft["em"][BOX] = 7
            publish(faulty, "v1.1", draft="draft")
        assert {k: v for k, v in snapshot(store).items() if k in clean and "provenance" not in k} == {
            k: v for k, v in clean.items() if "provenance" not in k
        }
        state = newest_draft(store, "draft")
        if state is not None and state.state.is_open:
            found = voxels_of(store, "draft")
            assert np.array_equal(found, VOXELS) or np.array_equal(found, edited())
        if not faulty.fired[0]:
            break
        done += 1
        if n % 3 == 0:  # say the same again
            if state is None or state.state.is_open:
                with open_draft(store) as draft:
                    draft["em"][BOX] = 7
            publish(store, "v1.1", draft="draft")
            assert np.array_equal(voxels_of(store, "v1.1"), edited())
            assert not newest_draft(store, "draft").state.is_open
            assert [e.operation for e in LogReader(store).entries()].count("edit") == 1
            assert verify_release(store, "v1.1").ok
    assert 40 < done < 499


def test_what_a_draft_needs_is_not_collected_and_goes_with_it(tmp_path):
    store = loaded(dataset(tmp_path))
    with open_draft(store) as draft:
        draft["em"][BOX] = 7
    with open_draft(store) as draft:
        draft["em"][BOX] = 8
    options = CollectOptions(grace=0.0, apply=True, agent=None)
    first = collect(store, options)
    assert {d.kind for d in first.objects} == {"draft", "object", "pieces"} and len(first.objects) == 4
    assert np.array_equal(voxels_of(store, "draft"), edited(value=8))
    publish(store, "v1.1", draft="draft")
    assert {d.kind for d in collect(store, options).objects} == {"draft"}
    assert verify_release(store, "v1.1").ok and verify_release(store, "v1.0").ok
    withdraw_release(store, "v1.0", "wrong")
    collect(store, CollectOptions(grace=0.0, apply=True, agent=None, withdrawn=["v1.0"], reason="asked"))
    assert verify_release(store, "v1.1").ok  # it needs the shards of v1.0, which are named by it
    with open_draft(store) as draft:
        draft["em"][BOX] = 9
    discard_draft(store)
    assert {d.kind for d in collect(store, options).objects} == {"draft", "object", "pieces"}
    assert store.stat(draft_key("draft", 5)) is None


def test_drafts_and_edits_of_the_first_version_are_read_for_ever(tmp_path):
    folder = tmp_path / "release-2"
    shutil.copytree(Path(__file__).parent / "golden/release-2", folder)
    wanted = np.arange(40, dtype=np.uint8).reshape(5, 8)
    store = open_dataset_store(folder, writable=True)
    assert np.array_equal(voxels_of(store, "v1.0", "em"), wanted)
    wanted[1:3, 1] = 200
    assert np.array_equal(voxels_of(store, "v1.1", "em"), wanted)
    assert open_release_store(store, "v1.1").manifest.composed
    for name in ("v1.0", "v1.1"):
        assert verify_release(store, name).ok
    wanted[0, 0] = 201
    assert np.array_equal(voxels_of(store, "draft-b", "em"), wanted)
    with open_draft(store, "draft-b") as draft:
        draft["em"][4] = 0
    publish(store, "v1.2", draft="draft-b")
    wanted[4] = 0
    assert np.array_equal(voxels_of(store, "v1.2", "em"), wanted)


def test_drafts_work_in_buckets(tmp_path, make_s3):
    store, local = make_s3(), LocalStore(dataset(tmp_path))
    for key, _ in local.list(""):
        store.put(key, local.get(key))
    one, other = open_draft(store), open_draft(make_s3())
    one["em"][BOX] = 7
    other["em"][0, 0, 0] = 9
    one.flush()
    other.flush()
    publish(make_s3(), "v1.1", draft="draft")
    wanted = edited()
    wanted[0, 0, 0] = 9
    assert np.array_equal(voxels_of(make_s3(), "v1.1"), wanted) and np.array_equal(voxels_of(store, "v1.0"), VOXELS)
    assert verify_release(make_s3(), "v1.1").ok
    found = collect(make_s3(), CollectOptions(agent=None, apply=True, grace=0.0))
    assert {d.kind for d in found.objects} == {"draft", "object", "pieces"} and verify_release(make_s3(), "v1.1").ok


def test_a_shard_of_which_every_chunk_changes_leaves_nothing_that_is_not_named(tmp_path):
    brain = dataset(tmp_path)
    with voxarium.open_draft(brain) as draft:
        draft["em"][:32, :32, :32] = np.random.default_rng(5).integers(1, 200, (32, 32, 32)).astype(np.uint8)
        draft["em"][33, 33, 33] = 77
    named = {k for k, _ in LocalStore(brain).list("releases/objects") if k}
    publish(brain, "v1.1", draft="draft")
    found = collect(brain, CollectOptions(grace=0.0, agent=None))
    assert {d.kind for d in found.objects} == {"draft"} and len(named) >= 2
    assert verify_release(brain, "v1.1").ok
