"""OCFL objects: what we write, what others read, and what strangers may send."""

from __future__ import annotations

import hashlib
import json
import os

import pytest
from export_data import CONTENT, LATER, contents, exported, made
from hypothesis import given
from hypothesis import strategies as st

from voxarium.archive.exports import check_package, import_package
from voxarium.errors import ExistsError, FormatError, InputError, NotFoundError
from voxarium.spec import ocfl
from voxarium.stores.memory import MemoryStore

AFTER = CONTENT | LATER


@pytest.fixture(params=["", "sha256"])
def item(brain, tmp_path, request):
    exported(f"{brain}@v1.1", tmp_path / "item", "ocfl", digest=request.param)
    return tmp_path / "item"


def kinds(package):
    return {(p.key, p.kind) for p in check_package(package).problems}


def codes(package):
    return {p.message.rpartition("(")[2].rstrip(")") for p in check_package(package, "ocfl").problems}


class TestObject:
    def test_every_content_is_stored_once(self, item):
        stored = [v for k, v in contents(item).items() if "/content/" in k]
        assert sorted(stored) == sorted(set(AFTER.values()) | set(CONTENT.values()))
        # v2 has nothing but what is new: equal content under another name is not stored again
        assert set(contents(item, "v2/content")) == {"em/s1/c/0", "LICENSE"}

    def test_versions_are_the_releases_and_can_be_taken_out(self, item, tmp_path):
        report = check_package(item)
        assert report.ok and report.package.versions == ("v1", "v2") and report.package.release == "v1.1"
        import_package(item, tmp_path / "last")
        assert contents(tmp_path / "last") == AFTER
        first = import_package(item, tmp_path / "first", version="v1")
        assert contents(tmp_path / "first") == CONTENT and first.package.release == "v1.0"
        with pytest.raises(NotFoundError, match="no version v3"):
            import_package(item, tmp_path / "third", version="v3")

    def test_the_inventory_says_who_and_what(self, item):
        data = (item / "inventory.json").read_bytes()
        body = json.loads(data)
        assert body["head"] == "v2" and body["id"] == "https://doi.org/10.5072/concept.9"
        first = body["versions"]["v1"]
        assert first["message"].startswith("release v1.0; the first; document sha256:")
        assert first["user"] == {"name": "Ada Lovelace", "address": "https://orcid.org/0000-0002-1825-0097"}
        assert (item / "v2/inventory.json").read_bytes() == data
        found = ocfl.parse_inventory(data)
        assert set(found.states[0]) == set(CONTENT) and set(found.states[1]) == set(AFTER)

    def test_an_object_of_an_early_release_has_no_later_ones(self, brain, tmp_path):
        exported(f"{brain}@v1.0", tmp_path / "item", "ocfl", identifier="urn:example:1")
        assert check_package(tmp_path / "item").package.versions == ("v1",)
        assert json.loads((tmp_path / "item/inventory.json").read_bytes())["id"] == "urn:example:1"

    def test_names_without_a_colon_and_unknown_digests(self, brain, tmp_path):
        assert "should be a URI" in exported(f"{brain}@v1.0", tmp_path / "a", "ocfl", identifier="b").plan.notes[0]
        with pytest.raises(InputError, match="--digest"):
            exported(f"{brain}@v1.0", tmp_path / "b", "ocfl", digest="md5")

    def test_a_dataset_without_doi_and_a_release_of_nothing(self, tmp_path):
        brain = made(tmp_path / "brain", {"a": b"1"}, {})
        exported(f"{brain}@v1.1", tmp_path / "item", "ocfl")
        report = check_package(tmp_path / "item")
        assert report.ok and report.package.versions == ("v1", "v2") and report.package.objects == 1
        assert not (tmp_path / "item/v2/content").exists()

    def test_a_storage_root_takes_several(self, brain, tmp_path):
        for i, name in enumerate(("v1.0", "v1.1")):
            exported(f"{brain}@{name}", tmp_path / "root", "ocfl", storage_root=True, identifier=f"urn:example:{i}")
        found = sorted(str(p.parent.relative_to(tmp_path)) for p in tmp_path.rglob("0=ocfl_object_1.1"))
        assert found == sorted(f"root/{ocfl.layout_path(f'urn:example:{i}')}" for i in range(2))
        assert all(check_package(tmp_path / f).ok for f in found)
        with pytest.raises(ExistsError):
            exported(f"{brain}@v1.0", tmp_path / "root", "ocfl", storage_root=True, identifier="urn:example:0")
        (tmp_path / "other").mkdir()
        (tmp_path / "other/x").write_bytes(b"")
        with pytest.raises(InputError, match="no OCFL storage root"):
            exported(f"{brain}@v1.0", tmp_path / "other", "ocfl", storage_root=True)
        assert os.listdir(tmp_path / "other") == ["x"]

    def test_a_failed_export_leaves_a_storage_root_as_it_was(self, tmp_path):
        brain = made(tmp_path / "brain")
        exported(f"{brain}@v1.0", tmp_path / "root", "ocfl", storage_root=True, identifier="urn:example:0")
        before = sorted(tmp_path.glob("root/**/*"))
        (tmp_path / "brain/em/zarr.json").write_bytes(b"changed!")
        with pytest.raises(FormatError):
            exported(f"{brain}@v1.0", tmp_path / "root", "ocfl", storage_root=True, identifier="urn:example:1")
        assert sorted(tmp_path.glob("root/**/*")) == before

    @pytest.mark.oracle
    def test_the_package_ocfl_py_finds_it_valid(self, item, brain, tmp_path):
        oracle = pytest.importorskip("ocfl", reason="ocfl-py is not among the test dependencies: it pins botocore")
        passed, found = oracle.Object().validate(str(item))
        assert passed, found
        exported(f"{brain}@v1.0", tmp_path / "root", "ocfl", storage_root=True)
        assert oracle.StorageRoot(root=str(tmp_path / "root")).validate()


class TestDamage:
    def test_every_change_is_named(self, item):
        (item / "v1/content/em/zarr.json").write_bytes(b'{"a": 2}')
        (item / "v2/content/LICENSE").unlink()
        (item / "v1/content/new").write_bytes(b"x")
        (item / "v1/more.txt").write_bytes(b"x")
        (item / "more").write_bytes(b"x")
        (item / "v3/content").mkdir(parents=True)
        (item / "v3/content/x").write_bytes(b"x")
        assert kinds(item) >= {
            ("v1/content/em/zarr.json", "changed"),
            ("v2/content/LICENSE", "missing"),
            ("v1/content/new", "extra"),
            ("v1/more.txt", "extra"),
            ("more", "extra"),
            ("v3", "extra"),
        }

    @pytest.mark.parametrize("name", ["inventory.json", "v1/inventory.json", "logs/voxarium/000002.json"])
    def test_changed_documents(self, item, name):
        data = (item / name).read_bytes()
        (item / name).write_bytes(data.replace(b"v1.0", b"v1.9") if "inv" in name else data.replace(b'"v1.1"', b'"v7"'))
        found = check_package(item)
        if "inv" in name:
            assert (name, "changed") in {(p.key, p.kind) for p in found.problems}
        else:  # nothing but its own digest, which a signed checkpoint covers, vouches for what it says
            assert found.package.release == "v7"

    def test_content_exchanged_together_with_the_inventories_is_not_the_release(self, item):
        (item / "v1/content/em/zarr.json").write_bytes(b'{"a": 2}')
        for algorithm in ("sha512", "sha256"):
            was, now = (hashlib.new(algorithm, x).hexdigest() for x in (CONTENT["em/zarr.json"], b'{"a": 2}'))
            for folder in ("", "v1/", "v2/"):
                path = item / f"{folder}inventory.json"
                path.write_bytes(path.read_bytes().replace(was.encode(), now.encode()))
                beside = item / f"{folder}inventory.json.{algorithm}"
                if beside.exists():
                    beside.write_text(f"{hashlib.new(algorithm, path.read_bytes()).hexdigest()} inventory.json\n")
        for folder in ("", "v1/", "v2/"):  # the first of the two was computed before the second exchange
            for beside in item.glob(f"{folder}inventory.json.*"):
                algorithm = beside.suffix[1:]
                data = (item / f"{folder}inventory.json").read_bytes()
                beside.write_text(f"{hashlib.new(algorithm, data).hexdigest()} inventory.json\n")
        assert kinds(item) == {("logs/voxarium/000002.json", "changed")}

    @pytest.mark.parametrize("name", [b"0=\xff", b"inventory.json.\xff", b"v1/content/\xff", b"v1/content/a\\b"])
    def test_names_that_are_no_keys(self, item, name):
        with open(os.path.join(os.fsencode(item), name), "wb") as file:
            file.write(b"x")
        report = check_package(item)
        assert not report.ok
        json.dumps(report.to_json())

    def test_links_are_not_followed(self, item, tmp_path):
        path = item / "v1/content/em/zarr.json"
        path.unlink()
        (tmp_path / "secret").write_bytes(CONTENT["em/zarr.json"])
        path.symlink_to(tmp_path / "secret")
        assert ("v1/content/em/zarr.json", "link") in kinds(item)
        with pytest.raises(FormatError):
            import_package(item, tmp_path / "out")
        assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------------------------------------------------- strangers
def body(**changes):
    digest = hashlib.sha512(b"1").hexdigest()
    found = {
        "id": "urn:x",
        "type": "https://ocfl.io/1.1/spec/#inventory",
        "digestAlgorithm": "sha512",
        "head": "v1",
        "manifest": {digest: ["v1/content/a"]},
        "versions": {
            "v1": {
                "created": "2026-11-26T06:30:00Z",
                "message": "m",
                "user": {"name": "A", "address": "mailto:a@example.org"},
                "state": {digest: ["a"]},
            }
        },
    }
    for key, value in changes.items():
        if value is None:
            del found[key]
        else:
            found[key] = value
    return found


def stranger(document, files=None):
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    side = f"{hashlib.sha512(data).hexdigest()} inventory.json".encode()
    objects = {"0=ocfl_object_1.1": ocfl.DECLARATION}
    for folder in ("", "v1/"):
        objects |= {f"{folder}inventory.json": data, f"{folder}inventory.json.sha512": side}
    return MemoryStore(objects | ({"v1/content/a": b"1"} if files is None else files))


ONE = hashlib.sha512(b"1").hexdigest()


def version(**changes):
    block = body()["versions"]["v1"] | changes
    return {"versions": {"v1": {k: v for k, v in block.items() if v is not None}}}


class TestStrangers:
    def test_a_plain_one_is_fine(self, tmp_path):
        assert check_package(stranger(body())).ok
        import_package(stranger(body()), tmp_path / "out")
        assert contents(tmp_path / "out") == {"a": b"1"}

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"id": None}, "E036"),
            ({"id": ""}, "E037"),
            ({"id": 5}, "E037"),
            ({"type": "https://ocfl.io/9.9/spec/#inventory"}, "E038"),
            ({"digestAlgorithm": "md5"}, "E025"),
            ({"head": "v2"}, "E040"),
            ({"contentDirectory": "a/b"}, "E017"),
            ({"contentDirectory": ".."}, "E018"),
            ({"manifest": None}, "E041"),
            ({"manifest": {ONE: ["v1/content/../../x"]}}, "E099"),
            ({"manifest": {ONE: ["/v1/content/a"]}}, "E100"),
            ({"manifest": {ONE: ["v7/content/a"]}}, "E042"),
            ({"manifest": {ONE: "v1/content/a"}}, "E091"),
            ({"manifest": {ONE: ["v1/content/a"], ONE.upper(): ["v1/content/b"]}}, "E096"),
            ({"manifest": {ONE: ["v1/content/a", "v1/content/a/b"]}}, "E101"),
            ({"manifest": {ONE: ["v1/content/a"], "0" * 128: ["v1/content/b"]}}, "E107"),
            ({"versions": {}}, "E008"),
            ({"versions": []}, "E044"),
            ({"versions": {"v2": {}}}, "E009"),
            ({"versions": {"v1": {}, "v3": {}}}, "E010"),
            ({"versions": {"v1": 5}}, "E047"),
            (version(created=None), "E048"),
            (version(created="yesterday"), "E049"),
            (version(created="2026-99-26T06:30:00Z"), "E049"),
            (version(state={"0" * 128: ["a"]}), "E050"),
            (version(state={ONE: ["../a"]}), "E053"),
            (version(state={ONE: ["/etc/passwd"]}), "E052"),
            (version(state={ONE: ["a", "a"]}), "E095"),
            (version(state={ONE: ["a", "a/b"]}), "E095"),
            (version(state=None), "E048"),
            (version(message=5), "E094"),
            (version(user={"address": "x"}), "E054"),
            ({"fixity": 5}, "E111"),
            ({"fixity": {"md5": {"00": ["v1/content/a"]}}}, "E057"),
            ({"fixity": {"md5": {"0" * 32: ["v1/content/b"]}}}, "E057"),
        ],
    )
    def test_what_breaks_the_specification_is_named_by_its_code(self, changes, code, tmp_path):
        store = stranger(body(**changes))
        assert code in codes(store)
        with pytest.raises(FormatError, match=code):
            ocfl.parse_inventory(store.get("inventory.json"))
        with pytest.raises(FormatError):
            import_package(store, tmp_path / "out")
        assert os.listdir(tmp_path) == []

    @pytest.mark.parametrize(
        "data", [b"", b"[]", b"{", b'{"id": 1, "id": 2}', b"\xff", b'{"a":' * 100_000, b'{"id": NaN}', b"1e999"]
    )
    def test_what_is_no_inventory(self, data, tmp_path):
        assert not check_package(stranger(data), "ocfl").ok
        with pytest.raises(FormatError):
            import_package(stranger(data), tmp_path / "out", "ocfl")

    def test_paths_that_are_deeper_than_any_folder(self):
        deep = "/".join("a" * 200_000)
        assert "E053" in codes(stranger(body(**version(state={ONE: [deep, f"{deep}/b"]}))))
        assert "E099" in codes(stranger(body(manifest={ONE: [f"v1/content/{deep}"]})))

    def test_an_inventory_that_few_programs_read_is_announced(self, brain, tmp_path, monkeypatch):
        monkeypatch.setattr("voxarium.spec.ocfl.MOST_INVENTORY", 1000)
        assert any("larger shards" in n for n in exported(f"{brain}@v1.0", tmp_path / "x", "ocfl").plan.notes)

    def test_sizes_that_cannot_be_true(self, monkeypatch):
        monkeypatch.setattr("voxarium.spec.ocfl.MOST_INVENTORY", 100)
        assert ("inventory.json", "implausible") in kinds(stranger(body()))

    def test_a_version_without_its_folder_or_with_one_too_many(self):
        store = stranger(body(), {})
        assert ("v1/content/a", "missing") in kinds(store)
        store.delete("v1/inventory.json")
        store.delete("v1/inventory.json.sha512")
        assert ("v1", "missing") in kinds(store)

    def test_sidecars_and_declarations(self):
        store = stranger(body())
        store.put("inventory.json.sha512", b"nothing")
        assert "E061" in codes(store)
        store.delete("inventory.json.sha512")
        assert "E058" in codes(store)
        store.put("0=ocfl_object_1.0", b"ocfl_object_1.0\n")
        assert "E003" in codes(store)
        store.delete("0=ocfl_object_1.0")
        store.put("0=ocfl_object_1.1", b"something")
        assert "E007" in codes(store)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from([ONE, "v1", "v1/content/a", "a", "..", "", "sha512"]),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.sampled_from([ONE, "v1", "state", "user", "name", "x"]), v),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*body(), "fixity", "contentDirectory"]), JSON))
def test_junk_is_reported_never_raised(changes):
    report = check_package(stranger(body() | changes), "ocfl")
    json.dumps(report.to_json())


@given(st.dictionaries(st.text("ab/%é ", min_size=1, max_size=6), st.binary(max_size=3), max_size=6))
def test_inventories_can_be_read_back(files):
    digests = {}
    for key, data in files.items():
        digests.setdefault(hashlib.sha512(data).hexdigest(), []).append(key)
    stored = [(d, [f"v1/content/{keys[0]}"]) for d, keys in digests.items()]
    head = ocfl.VersionHead(created="2026-11-26T06:30:00.000Z", message='"\\\n', user="é")
    pieces = ocfl.inventory_pieces("urn:x", "sha512", stored, [(head, digests.items())], [("sha512", stored)])
    found, _ = ocfl.examine_inventory(b"".join(pieces))
    safe = {k for k in files if not ("//" in k or k.startswith("/") or k.endswith("/"))}
    assert set(found.states[0]) == safe if files else found.states == ({},)
