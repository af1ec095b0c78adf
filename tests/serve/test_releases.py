"""Releases below ``/raw/``, in views and on pages: as they were published, whatever happened since."""

from __future__ import annotations

import base64
import json
import threading
from hashlib import sha256

import numpy as np
import pytest

import voxarium
from voxarium.archive.release_making import ReleaseOptions, create_release
from voxarium.archive.release_policy import Policy
from voxarium.archive.releases import withdraw_release
from voxarium.errors import ChecksumError, Code, NotFoundError
from voxarium.model.protocols import ByteRange
from voxarium.serve import releases as serve_releases
from voxarium.serve.answers import WouldWait
from voxarium.serve.listing import StoreLister
from voxarium.serve.releases import ReleaseRoots
from voxarium.serve.roots import Root, open_roots
from voxarium.stores.memory import MemoryStore

VOXELS = np.random.default_rng(5).integers(1, 60000, (19, 30, 41)).astype(np.uint16)
HOW = {"axes": "zyx", "voxel_size": 8, "unit": "nanometer", "levels": 1, "accept": ("all",)}
FORMATS = {
    "zarr2": {"spec_version": "0.4", "chunk": 8},
    "sharded": {"spec_version": "0.5", "chunk": 8, "shard": 16},
    "precomputed": {"format": "precomputed", "chunk": 8},
}


def release(root, name):
    create_release(root, name, ReleaseOptions(policy=Policy(require=frozenset()), agent=None))


def made(root):
    """Publish two releases and go on; images of the second have other voxels."""
    root.mkdir(parents=True)
    np.save(root.parent / "a.npy", VOXELS)
    np.save(root.parent / "b.npy", VOXELS + 1)
    (root / "dataset.json").write_text('{"name": "first"}')
    (root / "big.bin").write_bytes(bytes(range(256)) * 5000)
    for name, options in FORMATS.items():
        voxarium.convert(root.parent / "a.npy", root / name, **HOW, **options)
    release(root, "v1.0")
    (root / "dataset.json").write_text('{"name": "second"}')
    voxarium.convert(root.parent / "b.npy", root / "later", **HOW, **FORMATS["sharded"])
    release(root, "v2.0")
    (root / "dataset.json").write_text('{"name": "draft"}')
    (root / "sharded/s0/c/9").write_bytes(b"stray")
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    made(folder / "lab" / "brain")
    return folder / "lab"


@pytest.fixture(scope="module")
def client(folder, client_of):
    """One server: the dataset as a root, the folder around it as another."""
    from voxarium.serve.running import BackgroundServer

    with BackgroundServer([str(folder / "brain"), f"lab={folder}"]) as server:
        yield client_of(server)


PLACES = ["brain@v1.0", "lab/brain@v1.0"]


# -------------------------------------------------------------------------------------------------------------- objects
@pytest.mark.parametrize("place", PLACES)
def test_objects_are_those_of_the_release(client, folder, place):
    answer = client.get(f"/raw/{place}/dataset.json")
    assert (answer.status, answer.body) == (200, b'{"name": "first"}')
    digest = sha256(answer.body).digest()
    assert answer.headers["etag"] == f'"{digest.hex()}"'
    assert answer.headers["repr-digest"] == f"sha-256=:{base64.b64encode(digest).decode()}:"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"].startswith("application/json")
    assert client.get(f"/raw/{place.replace('1', '2')}/dataset.json").body == b'{"name": "second"}'
    assert client.get(f"/raw/{place.partition('@')[0]}/dataset.json").body == b'{"name": "draft"}'
    assert client.get(f"/raw/{place.replace('@', '%40')}/dataset.json").body == b'{"name": "first"}'
    for key in (
        "later/zarr.json",
        "sharded/s0/c/9",
        "releases/000001.json",
        "nothing",
        "sharded",
        "..%2Fx",
        "%2e%2e/x",
    ):
        for method in ("GET", "HEAD"):
            assert client.request(f"/raw/{place}/{key}", method).status == 404, key


def test_conditions_ranges_and_head(client, folder):
    path, data = "/raw/brain@v1.0/big.bin", (folder / "brain/big.bin").read_bytes()
    head = client.request(path, "HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(data)))
    assert client.get(path).body == data  # larger than what is sent in one piece
    part = client.get(path, headers={"range": "bytes=100-299"})
    assert (part.status, part.body, part.headers["content-range"]) == (206, data[100:300], f"bytes 100-299/{len(data)}")
    assert client.get(path, headers={"range": "bytes=-3"}).body == data[-3:]
    assert client.get(path, headers={"range": f"bytes={len(data)}-"}).status == 416
    many = client.get(path, headers={"range": "bytes=0-1,10-11"})
    assert many.status == 206 and data[10:12] in many.body
    tag = head.headers["etag"]
    assert client.get(path, headers={"if-none-match": tag}).status == 304
    assert client.get(path, headers={"if-match": '"x"'}).status == 412
    assert client.get(path, headers={"if-range": tag, "range": "bytes=0-0"}).status == 206
    assert client.request(path, "POST").status == 405


@pytest.mark.parametrize("place", PLACES)
def test_folders_are_listed_from_the_manifest(client, place):
    found = json.loads(client.get(f"/raw/{place}/?format=json").body)
    assert found["address"] == place and found["folders"] == ["precomputed", "sharded", "zarr2"]
    assert [f["name"] for f in found["files"]] == ["big.bin", "dataset.json"]
    inside = json.loads(client.get(f"/raw/{place}/sharded/s0/c/?format=json").body)
    assert (inside["folders"], inside["files"]) == (["0", "1"], [])
    assert client.get(f"/raw/{place}/later/").status == 404
    assert b"dataset.json" in client.get(f"/raw/{place}/").body
    moved = client.get(f"/raw/{place}", headers={"accept": "text/html"})
    assert (moved.status, moved.headers["location"]) == (308, f"./{place.rpartition('/')[2]}/")
    assert client.get(f"/raw/{place}").status == 404


def test_a_release_is_listed_as_s3_lists(client):
    text = client.get("/raw/brain@v1.0?list-type=2&prefix=sharded/s0/").body.decode()
    assert "<Key>sharded/s0/zarr.json</Key>" in text and "c/9" not in text


@pytest.mark.parametrize(
    "place", ["brain@v9", "brain@", "brain@v1.0@v1.0", "other@v1.0", "lab@v1.0", "lab/other@v1.0", "@v1"]
)
def test_what_is_no_release_is_absent(client, place):
    for path in (f"/raw/{place}/dataset.json", f"/raw/{place}/", f"/raw/{place}", f"/raw/{place}?list-type=2"):
        assert client.get(path).status == 404, path
    assert client.get(f"/as/n5/{place}/zarr2/attributes.json").status == 404


# --------------------------------------------------------------------------------------------------------------- damage
def test_what_the_release_lists_and_is_gone_is_an_error_and_not_absent(tmp_path, serve):
    root = made(tmp_path / "brain")
    client = serve(root)
    gone = root / "sharded/s0/c/0/0/0"
    gone.unlink()
    (root / "zarr2/s0/0/0/0").write_bytes(b"short")
    for key in ("sharded/s0/c/0/0/0", "zarr2/s0/0/0/0"):
        for method, headers in (("GET", {}), ("HEAD", {}), ("GET", {"range": "bytes=0-1"})):
            answer = client.request(f"/raw/brain@v1.0/{key}", method, headers=headers)
            assert answer.status == 502 and answer.headers["cache-control"] == "no-store"
            assert method == "HEAD" or (
                b"lists this object" in answer.body and str(tmp_path).encode() not in answer.body
            )
    assert client.get("/raw/brain@v1.0/zarr2/s0/0/0/1").status == 200
    assert client.get("/raw/brain/sharded/s0/c/0/0/0").status == 404


def test_a_withdrawn_release_says_why(tmp_path, serve):
    root = made(tmp_path / "brain")
    withdraw_release(root, "v1.0", "two slices\nwere swapped")
    client = serve(root)
    answer = client.get("/raw/brain@v1.0/dataset.json")
    assert (answer.status, answer.body) == (410, b"release v1.0 of brain was withdrawn: two slices were swapped\n")
    assert client.get("/raw/brain@v1.0/").status == 410 and client.get("/images?release=brain@v1.0").status == 404
    assert client.get("/as/n5/brain@v1.0/zarr2/attributes.json").status == 404
    found = json.loads(client.get("/images.json").body)["releases"]
    assert [(r["name"], r["withdrawn"]) for r in found] == [("v1.0", "two slices\nwere swapped"), ("v2.0", None)]
    page = client.get("/images").body
    assert b"release=brain%40v2.0" in page and b"release=brain%40v1.0" not in page


def test_links_that_lead_out_of_a_dataset_stay_dead(tmp_path, serve):
    (tmp_path / "secret").write_bytes(b"secret")
    root = tmp_path / "brain"
    root.mkdir()
    (root / "x").write_bytes(b"secret")
    (root / ".hidden").write_bytes(b"hidden")
    release(root, "v1")
    (root / "x").unlink()
    (root / "x").symlink_to(tmp_path / "secret")
    client = serve(root)
    assert client.get("/raw/brain@v1/x").status == 502
    assert client.get("/raw/brain@v1/.hidden").status == 404
    assert serve(root, hidden=True).get("/raw/brain@v1/.hidden").body == b"hidden"


def test_a_folder_that_has_such_a_name_is_meant(tmp_path, serve):
    made(tmp_path / "lab/brain")
    (tmp_path / "lab/brain@v1.0").mkdir()
    (tmp_path / "lab/brain@v1.0/dataset.json").write_bytes(b"mine")
    assert serve(tmp_path / "lab").get("/raw/lab/brain@v1.0/dataset.json").body == b"mine"


def test_a_release_served_by_its_address_is_one_too(tmp_path, serve):
    root = made(tmp_path / "brain")
    client = serve(f"{root}@v1.0", f"only={root}@v1.0/sharded", f"one={root}@v1.0/big.bin")
    assert client.get("/raw/brain-v1.0/dataset.json").body == b'{"name": "first"}'
    answer = client.get("/raw/only/zarr.json")
    assert (
        answer.headers["etag"] == f'"{sha256(answer.body).hexdigest()}"'
        and "immutable" in answer.headers["cache-control"]
    )
    assert client.get("/raw/one").headers["content-length"] == str((root / "big.bin").stat().st_size)


# ------------------------------------------------------------------------------------------------------ views and pages
@pytest.mark.parametrize("place", PLACES)
def test_images_of_a_release_are_shown_in_other_formats(client, place):
    image = voxarium.open(f"{client.url}/as/n5/{place}/zarr2")
    assert np.array_equal(image[...], VOXELS)
    assert client.get(f"/as/n5/{place}/later/attributes.json").status == 404
    assert client.get(f"/as/n5/{place.replace('1', '2')}/later/attributes.json").status == 200
    value = json.loads(client.get(f"/value/{place}/zarr2?at=1,2,3").body)
    assert value["value"] == int(VOXELS[1, 2, 3])
    assert client.get(f"/thumbnail/{place}/zarr2").status == 200
    assert client.get(f"/view/{place}/zarr2").status in (302, 303, 307)


def test_pages_name_releases_and_show_their_images(client):
    found = json.loads(client.get("/images.json").body)["releases"]
    assert {r["address"] for r in found} == {f"{d}@{n}" for d in ("brain", "lab/brain") for n in ("v1.0", "v2.0")}
    (first,) = (r for r in found if r["address"] == "brain@v1.0")
    assert first["url"] == f"{client.url}/raw/brain@v1.0" and first["objects"] > 5 and first["bytes"] > 1000
    page = client.get("/images").body.decode()
    assert "Releases of brain: " in page and page.index("brain%40v2.0") < page.index("brain%40v1.0")
    page = client.get("/images?release=brain%40v1.0&search=uint16").body.decode()
    assert "Images of brain@v1.0" in page and "brain@v1.0/zarr2" in page and "later" not in page
    images = json.loads(client.get("/images.json?release=brain@v1.0").body)["images"]
    assert {i["address"] for i in images if "levels" in i} == {f"brain@v1.0/{name}" for name in FORMATS}
    for release_ in ("brain@v9", "brain", "brain@v1.0/zarr2", "<script>"):
        assert client.get(f"/images?release={release_.replace('<', '%3C')}").status == 404
        assert client.get(f"/images.json?release={release_.replace('<', '%3C')}").status == 404


# ------------------------------------------------------------------------------------------------------- other readers
@pytest.mark.oracle
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("name", "driver"), [("zarr2", "zarr"), ("sharded", "zarr3"), ("precomputed", "neuroglancer_precomputed")]
)
def test_tensorstore_reads_release_1_after_release_2(client, folder, place, name, driver):
    tensorstore = pytest.importorskip("tensorstore")
    level = voxarium.open(folder / "brain" / name).levels[0].path if driver != "neuroglancer_precomputed" else ""
    kvstore = {"driver": "http", "base_url": client.url, "path": f"/raw/{place}/{name}/{level}/".replace("//", "/")}
    found = np.asarray(tensorstore.open({"driver": driver, "kvstore": kvstore}).result().read().result())
    if driver == "neuroglancer_precomputed":  # x first
        found = found.reshape(found.shape[:3]).T
    assert np.array_equal(found, VOXELS)


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["zarr2", "sharded"])
def test_zarr_python_reads_release_1_after_release_2(client, folder, name):
    zarr = pytest.importorskip("zarr", minversion="3")
    pytest.importorskip("aiohttp")
    level = voxarium.open(folder / "brain" / name).levels[0].path
    array = zarr.open_array(f"{client.url}/raw/brain@v1.0/{name}/{level}", mode="r")
    assert np.array_equal(array[...], VOXELS)


def test_voxarium_reads_it_back(client):
    assert np.array_equal(voxarium.open(f"{client.url}/raw/brain@v1.0/sharded")[...], VOXELS)
    assert np.array_equal(voxarium.open(f"{client.url}/raw/brain@v2.0/later")[...], VOXELS + 1)


# ---------------------------------------------------------------------------------------------------------------- roots
@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(serve_releases, "monotonic", lambda: now[0])
    return now


def roots_of(*uris):
    return ReleaseRoots({r.name: r for r in open_roots(map(str, uris))})


def test_a_release_published_or_withdrawn_later_is_noticed(tmp_path, clock):
    root = tmp_path / "set"
    (root / "em").mkdir(parents=True)
    (root / "em/x").write_bytes(b"x")
    found = roots_of(root)
    assert found.find("set@v1/em/x") is None  # the dataset has no releases yet
    release(root, "v1")
    assert found.find("set@v1/em/x") is None
    clock[0] += 60
    with pytest.raises(WouldWait):
        found.find("set@v1/em/x", wait=False)
    opened, rest = found.find("set@v1/em/x")
    assert (opened.name, rest) == ("set@v1", "em/x") and found.find("set@v1", wait=False) == (opened, "")
    clock[0] += 60
    assert found.find("set@v1")[0] is opened, "what was read of it is kept"
    withdraw_release(root, "v1", "wrong")
    assert found.find("set@v1")[0] is opened
    clock[0] += 60
    with pytest.raises(NotFoundError, match="release v1 of set was withdrawn: wrong") as caught:
        found.find("set@v1")
    assert caught.value.code == Code.RELEASE_WITHDRAWN and str(tmp_path) not in caught.value.message
    with pytest.raises(NotFoundError, match="set has no release v2"):
        found.find("set@v2/x")
    assert [(e.name, e.withdrawn) for e in found.entries([])] == [("v1", "wrong")]


def test_lists_of_few_releases_are_kept(tmp_path, monkeypatch):
    root = tmp_path / "set"
    root.mkdir()
    for i in range(4):
        (root / f"x{i}.bin").write_bytes(b"x")
        release(root, f"v{i}")
    monkeypatch.setattr(serve_releases, "_MOST_OBJECTS", 7)
    monkeypatch.setattr(serve_releases, "_MOST_ANSWERS", 5)
    found = roots_of(root)
    opened = [found.find(f"set@v{i}")[0] for i in range(4)]
    assert [len(r.store.manifest) for r in opened] == [1, 2, 3, 4]
    assert found.find("set@v3", wait=False)[0] is opened[3] and found.find("set@v2", wait=False)[0] is opened[2]
    with pytest.raises(WouldWait):
        found.find("set@v1", wait=False)
    for i in range(20):
        assert found.find(f"nothing@v{i}") is None
    assert len(found._kept) <= 5


def test_what_many_ask_for_at_once_is_read_once(tmp_path, monkeypatch):
    root = tmp_path / "set"
    root.mkdir()
    (root / "x.bin").write_bytes(b"x")
    release(root, "v1")
    found, reads, barrier = roots_of(root), [], threading.Barrier(6)
    monkeypatch.setattr(
        serve_releases, "release_manifest", lambda *a, real=serve_releases.release_manifest: reads.append(1) or real(*a)
    )

    def ask():
        barrier.wait()
        assert found.find("set@v1/x.bin")[1] == "x.bin"

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reads) == 1


def test_roots_that_are_files_and_odd_addresses_have_no_releases(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"x")
    found = roots_of(tmp_path / "a.bin", f"here={tmp_path}")
    for address in ("a.bin@v1", "here/../x@v1", "here//@v1", "here/.git@v1", "nothing@v1", "here", "here/a.bin@v1"):
        assert found.find(address) is None
    assert list(found.entries(["here/a/b/c", "a.bin::/0"])) == []


class Far(MemoryStore):
    """A store far away, in which every look takes a request."""

    concurrency = 16
    looks = 0

    def stat(self, key, /):
        self.looks += 1
        return super().stat(key)


def far_root(store):
    return Root(name="far", uri="x", store=store, path="lab", source=None, lister=StoreLister(store, "lab"))


def test_releases_in_other_stores(monkeypatch):
    store = Far({f"lab/brain/{key}": data for key, data in {"x.bin": b"x", "em/y": b"y"}.items()})
    inner = serve_releases._Below(store, "lab/brain")
    published = MemoryStore({"x.bin": b"x", "em/y": b"y"})
    create_release(published, "v1", ReleaseOptions(policy=Policy(require=frozenset()), agent=None))
    for key, _ in published.list("releases"):
        store.put(f"lab/brain/{key}", published.get(key))
    assert inner.uri.endswith("lab/brain") and inner.concurrency == 16
    found = ReleaseRoots({"far": far_root(store)})
    root, rest = found.find("far/brain@v1/em/y")
    assert rest == "em/y" and root.store.get(rest) == b"y" and root.frozen
    assert bytes(root.store.get_ranges("x.bin", [ByteRange(0, 1)])[0]) == b"x"
    assert [e.address for e in found.entries(["far/brain/em", "far/brain/em/0"])] == ["far/brain@v1"]
    store.looks = 0
    assert list(found.entries(f"far/{i}/em/0" for i in range(1000))) == []
    assert store.looks <= 2 * serve_releases._MOST_FAR
    store.delete("lab/brain/em/y")
    with pytest.raises(ChecksumError, match="is gone"):
        root.source.check("em/y")
