"""Collections: drivers that list members, and datasets that open them when asked."""

import json

import numpy as np
import pytest

import voxarium
from voxarium.core.dataset import Dataset
from voxarium.core.hierarchy import walk
from voxarium.core.opening import only_image, open_in
from voxarium.core.report import dataset_json
from voxarium.errors import Code, FormatError, InputError, NotFoundError
from voxarium.model.collection import CollectionInfo, Member
from voxarium.stores.audit import AuditStore
from voxarium.stores.memory import MemoryStore


class Lister:
    """A format for tests: ``list.json`` names members and their kinds."""

    name = "test-list"
    spec_url = "https://example.org/list"
    capabilities = frozenset({"read"})

    def open(self, store, path, /):
        raw = store.get(f"{path}/list.json" if path else "list.json")
        if raw is None:
            raise NotFoundError("no list", code=Code.METADATA_MISSING, fix="give one")
        found = json.loads(raw)
        members = tuple(Member(path=p, name=n, kind=k) for p, n, k in found)
        return CollectionInfo(format=self.name, kind="collection", members=members)


@pytest.fixture
def listing(monkeypatch):
    from voxarium.core import registry

    monkeypatch.setitem(registry._added, "voxarium.collection_drivers", [Lister()])


def put_array(store, key, shape):
    import io

    out = io.BytesIO()
    np.save(out, np.zeros(shape, np.uint8))
    store.put(key, out.getvalue())


@pytest.fixture
def store(listing):
    store = MemoryStore()
    store.put("set/list.json", json.dumps([
        ["em.npy", "em", "image"], ["seg.npy", "cells", "label"], ["gone.npy", "x", "image"],
        ["inner", "more", "collection"], ["../beside.npy", "beside", "image"], ["../../out.npy", "x", "image"],
    ]).encode())  # fmt: skip
    store.put("set/inner/list.json", json.dumps([["a/b.npy", "b", "image"]]).encode())
    for key, shape in (("set/em.npy", (2, 3, 4)), ("set/seg.npy", (3, 4)), ("set/inner/a/b.npy", (5, 2)),
                       ("beside.npy", (7,))):  # fmt: skip
        put_array(store, key, shape)
    return store


def test_a_collection_opens_without_opening_its_members(store):
    audit = AuditStore(store)
    found = open_in(audit, "set")
    assert isinstance(found, Dataset) and found.kind == "collection" and len(found) == 6
    assert not any(key.endswith(".npy") for key in audit.reads_per_key)
    text, page = repr(found), found._repr_html_()
    assert "seg.npy: cells, label" in text and "seg.npy" in page
    assert dataset_json(found)["images"] == []
    assert not any(key.endswith(".npy") for key in audit.reads_per_key)
    assert found["em.npy"].shape == (2, 3, 4)
    assert "em.npy: intensity, uint8 2 × 3 × 4, 1 levels" in repr(found)
    assert [i["key"] for i in dataset_json(found)["images"]] == ["em.npy"]


def test_members_are_found_by_path_by_unique_name_and_through_members(store):
    found = open_in(store, "set")
    assert found["em"] is found["em.npy"]
    assert found["cells"].role == "label"
    assert found["inner/a/b.npy"].shape == found["inner"]["b"].shape == (5, 2)
    assert found["beside"].shape == (7,)
    assert "inner" in found and "x" not in found and "nothing" not in found
    for key in ("x", "nothing", "inner/nothing", "em.npy/0", ""):
        with pytest.raises(NotFoundError):
            found[key]


def test_what_does_not_open_is_kept_as_a_problem_and_the_rest_goes_on(store):
    found = open_in(store, "set")
    assert [key for key, _ in found.iter_images()] == ["em.npy", "seg.npy", "inner/a/b.npy", "../beside.npy"]
    assert isinstance(found.problems["gone.npy"], NotFoundError)
    assert found.problems["../../out.npy"].code == Code.KEY_UNSAFE
    assert "gone.npy: cannot be opened" in repr(found)


def test_one_image_is_taken_from_a_collection_that_has_only_one(store):
    store.put("one/list.json", json.dumps([["inner", "", "collection"]]).encode())
    store.put("one/inner/list.json", json.dumps([["a.npy", "", "image"]]).encode())
    put_array(store, "one/inner/a.npy", (3, 5))
    assert only_image(open_in(store, "one"), "one").shape == (3, 5)
    with pytest.raises(InputError, match=r"a collection with 6: em\.npy, seg\.npy, .* and 1 more") as caught:
        only_image(open_in(store, "set"), "mem/set")
    assert "mem/set/em.npy" in caught.value.fix


def test_many_members_are_counted_not_printed(store):
    store.put("many/list.json", json.dumps([[f"{i}.npy", "", "image"] for i in range(2000)]).encode())
    put_array(store, "many/0.npy", (2,))
    found = open_in(store, "many")
    assert "… and 1,980 more" in repr(found) and len(repr(found).splitlines()) < 30
    tree = walk(store, "many", depth=3).to_json()
    assert tree["kind"] == "collection" and (tree["members"], tree["more"], len(tree["children"])) == (2000, 1900, 100)
    assert [c["kind"] for c in tree["children"][:2]] == ["array", "broken"]


def test_a_broken_collection_is_told_and_a_folder_shows_collections_inside(store):
    class Broken(Lister):
        def open(self, store, path, /):
            raise FormatError("broken", code=Code.METADATA_INVALID, fix="mend it")

    found = open_in(store, "")
    assert found.kind == "folder" and [(m.path, m.kind) for m in found.members] == [("set", "collection")]
    assert found["set/em"].shape == (2, 3, 4)
    voxarium.register_collection_driver(Broken())
    with pytest.raises(FormatError, match="broken"):
        open_in(store, "nowhere")


def test_a_file_with_series_lists_members_behind_two_colons(listing, monkeypatch):
    class Series(Lister):
        name = "test-series"
        suffixes = (".lif",)

        def open(self, store, path, /):
            if "::" in path:
                raise NotFoundError("a series", code=Code.FORMAT_UNRECOGNISED, fix="open it as an image")
            return CollectionInfo(format="npy", kind="series", members=[Member("::/0", "first"), Member("::/1")])

    asked = []

    class Npy:
        name, spec_url, capabilities = "npy", "", frozenset({"read"})

        def open(self, store, path, open_array, /):
            asked.append(path)
            if "::" not in path:
                raise NotFoundError("several", code=Code.FORMAT_UNRECOGNISED, fix="name one")
            from voxarium.model.image import ImageInfo, LevelInfo
            from voxarium.model.transforms import Identity

            array = open_array("x.npy")
            from voxarium.model.axes import Axis

            axes = tuple(Axis(name=n) for n in "zyx")
            return ImageInfo(
                format="npy", axes=axes, levels=(LevelInfo(path="../../x.npy", array=array, transform=Identity()),)
            )

    from voxarium.core import registry

    monkeypatch.setitem(registry._added, "voxarium.collection_drivers", [Series()])
    monkeypatch.setitem(registry._added, "voxarium.image_drivers", [Npy()])
    store = MemoryStore()
    put_array(store, "x.npy", (2, 3, 4))
    store.put("scan.lif", b"lif")
    found = open_in(store, "scan.lif")
    assert found.kind == "series" and found.keys() == ["::/0", "::/1"]
    with pytest.raises(InputError, match="a series with 2"):
        only_image(found, "scan.lif")
    tree = walk(store, "scan.lif", depth=2)
    assert tree.kind == "series" and [c.name for c in tree.children] == ["::/0", "::/1"]
