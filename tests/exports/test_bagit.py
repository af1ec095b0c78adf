"""Bags: what we write, what others read, and what strangers may send."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import tempfile

import pytest
from export_data import CONTENT, LATER, contents, exported, made
from hypothesis import given
from hypothesis import strategies as st

from voxarium.archive.exports import check_package, import_package
from voxarium.errors import ChecksumError, FormatError, InputError, UnsupportedError, VoxariumError
from voxarium.spec import bagit
from voxarium.stores.memory import MemoryStore


@pytest.fixture
def bag(brain, tmp_path):
    exported(f"{brain}@v1.0", tmp_path / "bag", "bagit", identifier="urn:example:brain")
    return tmp_path / "bag"


def kinds(package):
    return {(p.key, p.kind) for p in check_package(package).problems}


class TestBag:
    def test_it_holds_the_release_and_can_be_taken_out(self, bag, tmp_path):
        report = check_package(bag)
        assert report.ok and report.package.release == "v1.0" and report.package.objects == len(CONTENT)
        assert contents(bag, "data") == CONTENT
        info = dict(bagit.parse_info((bag / "bag-info.txt").read_bytes(), "utf-8"))
        assert info["Payload-Oxum"] == f"{sum(map(len, CONTENT.values()))}.{len(CONTENT)}"
        assert info["Source-Organization"] == "Archive of Neurons"
        assert info["External-Description"] == "An image of neurons. Of a mouse."
        lines = (bag / "manifest-sha256.txt").read_text("utf-8").splitlines()
        assert f"{hashlib.sha256(b'').hexdigest()}  data/notes/50%25 µ & more.txt" in lines
        import_package(bag, tmp_path / "out")
        assert contents(tmp_path / "out") == CONTENT
        with pytest.raises(InputError, match="no versions"):
            import_package(bag, tmp_path / "again", version="v1")

    @pytest.mark.oracle
    def test_the_package_bagit_finds_it_valid(self, tmp_path, caplog):
        oracle = pytest.importorskip("bagit", reason="the Library of Congress's package bagit is not installed")
        caplog.set_level(logging.CRITICAL)
        content = {k: v for k, v in CONTENT.items() if "%" not in k}  # it does not decode %25, which the RFC demands
        brain = made(tmp_path / "brain", content)
        exported(f"{brain}@v1.1", tmp_path / "bag", "bagit")
        found = oracle.Bag(str(tmp_path / "bag"))
        found.validate()
        assert found.info["Voxarium-Release"] == "v1.1" and len(found.payload_entries()) == len(content | LATER)
        (tmp_path / "bag/data/LICENSE").write_bytes(b"as I Like")
        with pytest.raises(oracle.BagValidationError):
            found.validate()

    @pytest.mark.oracle
    def test_what_the_package_bagit_makes_is_read(self, tmp_path, caplog):
        oracle = pytest.importorskip("bagit", reason="the Library of Congress's package bagit is not installed")
        caplog.set_level(logging.CRITICAL)
        for key, data in CONTENT.items():
            (tmp_path / "bag" / key).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "bag" / key).write_bytes(data)
        oracle.make_bag(str(tmp_path / "bag"), {"Contact-Name": "Ada"}, checksums=["md5", "sha1", "sha512", "sha384"])
        assert check_package(tmp_path / "bag").ok
        import_package(tmp_path / "bag", tmp_path / "out")
        assert contents(tmp_path / "out") == CONTENT

    def test_addresses_instead_of_copies(self, brain, tmp_path):
        exported(f"{brain}@v1.1", tmp_path / "bag", "bagit", url="https://example.org/brain/")
        report = check_package(tmp_path / "bag")
        assert report.ok and report.package.release == "v1.1" and "not in the bag" in report.notes[0]
        lines = dict(reversed(x.split(" ", 1)) for x in (tmp_path / "bag/fetch.txt").read_text("utf-8").splitlines())
        digest = hashlib.sha256(CONTENT["dataset.json"]).hexdigest()
        pool = f"https://example.org/brain/releases/objects/{digest}"
        assert lines[f"{len(CONTENT['dataset.json'])} data/dataset.json"] == pool
        assert (
            lines["0 data/notes/50%25 µ & more.txt"]
            == "https://example.org/brain/notes/50%25%20%C2%B5%20%26%20more.txt"
        )
        with pytest.raises(ChecksumError, match="not in the bag"):
            import_package(tmp_path / "bag", tmp_path / "out")
        for key, data in (CONTENT | LATER).items():
            (tmp_path / "bag/data" / key).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "bag/data" / key).write_bytes(data)
        assert check_package(tmp_path / "bag").ok
        import_package(tmp_path / "bag", tmp_path / "out")
        assert contents(tmp_path / "out") == CONTENT | LATER

    def test_the_address_of_the_release_leads_to_keys(self, brain, tmp_path):
        exported(f"{brain}@v1.1", tmp_path / "bag", "bagit", url="https://example.org/brain@v1.1")
        assert "https://example.org/brain@v1.1/dataset.json " in (tmp_path / "bag/fetch.txt").read_text("utf-8")

    @pytest.mark.parametrize("url", ["brain", "file:///brain", "https://me:pw@example.org/b", "https://e.org/b?sig=1"])
    def test_addresses_that_others_cannot_use_are_refused(self, brain, tmp_path, url):
        with pytest.raises(InputError) as caught:
            exported(f"{brain}@v1.1", tmp_path / "bag", "bagit", url=url)
        assert "pw" not in str(caught.value) and "sig" not in str(caught.value)

    def test_parts_of_objects_have_no_address(self, brain, tmp_path, monkeypatch):
        monkeypatch.setattr("voxarium.spec.manifest.Manifest.location", lambda self, i: ("em/shard", 17))
        with pytest.raises(UnsupportedError, match="part of another object"):
            exported(f"{brain}@v1.1", tmp_path / "bag", "bagit", url="https://example.org/brain")


class TestDamage:
    """Every change is named."""

    def test_flipped_cut_lost_and_added_files(self, bag):
        (bag / "data/em/zarr.json").write_bytes(b'{"a": 2}')
        (bag / "data/LICENSE").unlink()
        (bag / "data/new").write_bytes(b"x")
        assert {
            ("data/em/zarr.json", "changed"),
            ("data/LICENSE", "missing"),
            ("data/new", "extra"),
            ("bag-info.txt", "changed"),
        } <= kinds(bag)
        assert check_package(bag).package.release == ""

    @pytest.mark.parametrize("name", ["bag-info.txt", "manifest-sha256.txt", "voxarium/release.json"])
    def test_changed_tag_files(self, bag, name):
        data = (bag / name).read_bytes()
        (bag / name).write_bytes(data.replace(b"1", b"2", 1))
        assert (name, "changed") in kinds(bag)
        (bag / name).unlink()
        assert (name, "missing") in kinds(bag)

    def test_a_payload_exchanged_together_with_its_lists_is_not_the_release(self, bag):
        (bag / "data/em/zarr.json").write_bytes(b'{"a": 2}')
        was, now = (hashlib.sha256(x).hexdigest() for x in (CONTENT["em/zarr.json"], b'{"a": 2}'))
        listed = (bag / "manifest-sha256.txt").read_text("utf-8")
        (bag / "manifest-sha256.txt").write_text(listed.replace(was, now), "utf-8")
        tags = (bag / "tagmanifest-sha256.txt").read_text("utf-8")
        digest = hashlib.sha256((bag / "manifest-sha256.txt").read_bytes()).hexdigest()
        tags = re.sub(r"\w+(?=  manifest-sha256)", digest, tags)
        (bag / "tagmanifest-sha256.txt").write_text(tags, "utf-8")
        assert kinds(bag) == {("voxarium/release.json", "changed")}


# --------------------------------------------------------------------------------------------------------- strangers
def stranger(files=None, lists=None, version="1.0", **tags):
    files = {"data/a": b"1"} if files is None else files
    listed = "".join(f"{hashlib.sha256(d).hexdigest()}  {k}\n" for k, d in files.items())
    found = {
        "bagit.txt": f"BagIt-Version: {version}\nTag-File-Character-Encoding: UTF-8\n".encode(),
        "manifest-sha256.txt": (listed if lists is None else lists).encode(),
        **{k.replace("_", "-").replace("-txt", ".txt"): v for k, v in tags.items()},
    }
    return MemoryStore({**files, **found})


ONE = hashlib.sha256(b"1").hexdigest()


class TestStrangers:
    @pytest.mark.parametrize(
        "path",
        ["../x", "data/../../x", "/etc/passwd", "data//x", "data/./x", "~/x", "~root/x", "C:\\x", "data\\..\\x",
         "data/a/..", "data/%0a", "data/\x00", "", "data/", "bagit.txt", "data/x\x7f"],
    )  # fmt: skip
    def test_paths_out_of_the_bag_are_named_and_never_used(self, path, tmp_path):
        store = stranger(lists=f"{ONE}  data/a\n{ONE}  {path}\n")
        assert {k for _, k in kinds(store)} & {"unsafe", "malformed"}
        with pytest.raises(FormatError):
            import_package(store, tmp_path / "out")
        assert os.listdir(tmp_path) == []

    def test_paths_that_are_listed_twice(self, tmp_path):
        store = stranger(lists=f"{ONE}  data/a\n{ONE}  data/a\n")
        assert kinds(store) == {("data/a", "duplicate")}
        with pytest.raises(FormatError):
            import_package(store, tmp_path / "out")
        store = stranger(lists=f"{ONE}  data/a\n", fetch_txt=b"https://e.org/1 1 data/a\nhttps://e.org/2 2 data/a\n")
        assert ("data/a", "duplicate") in kinds(store)

    @pytest.mark.parametrize(
        ("line", "kind"),
        [
            ("https://e.org/1 99999999999999999999 data/b", "implausible"),
            ("https://e.org/1 -5 data/b", "malformed"),
            ("file:///etc/passwd - data/b", "unsafe"),
            ("https://e.org/1 5 ../b", "unsafe"),
            ("https://e.org/1 5 data/unlisted", "unlisted"),
            ("nothing", "malformed"),
        ],
    )
    def test_lists_of_what_to_fetch_that_lead_astray(self, line, kind):
        assert kind in {k for _, k in kinds(stranger(fetch_txt=f"{line}\n".encode()))}

    @pytest.mark.parametrize("name", [b"data/\xff", b"data/a\\b", b"manifest-\xff.txt"])
    def test_names_that_are_no_keys(self, bag, name):
        with open(os.path.join(os.fsencode(bag), name), "wb") as file:
            file.write(b"x")
        report = check_package(bag)
        assert report.ok is (b"manifest" in name)
        json.dumps(report.to_json())

    def test_links_and_pipes_are_not_followed(self, bag, tmp_path):
        (tmp_path / "secret").write_bytes(CONTENT["em/zarr.json"])
        (bag / "data/em/zarr.json").unlink()
        (bag / "data/em/zarr.json").symlink_to(tmp_path / "secret")
        (bag / "data/around").symlink_to("..")
        os.mkfifo(bag / "data/pipe")
        links = {k for k, kind in kinds(bag) if kind == "link"}
        assert links == {"data/em/zarr.json", "data/around", "data/pipe"}
        with pytest.raises(FormatError):
            import_package(bag, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_lists_that_cannot_be_true_are_refused_in_bounded_memory(self, monkeypatch):
        monkeypatch.setattr("voxarium.archive.exports.bagit._MOST_LIST", 1000)
        assert ("manifest-sha256.txt", "implausible") in kinds(stranger(lists="0" * 1001))
        monkeypatch.undo()
        assert ("manifest-sha256.txt", "implausible") in kinds(stranger(lists="0" * 3_000_000))
        many = "".join(f"{ONE}  ../{i}\n" for i in range(10_100))
        report = check_package(stranger(lists=many))
        assert len(report.problems) == 10_001 and report.problems[-1].kind == "more"
        store = stranger(**{f"manifest_x{i}_txt": b"" for i in range(20)})
        assert "implausible" in {k for _, k in kinds(store)}

    def test_a_bag_without_lists_or_with_digests_nobody_knows(self):
        store = MemoryStore({"bagit.txt": bagit.DECLARATION, "data/a": b"1", "manifest-crc9.txt": b"00  data/a\n"})
        assert ("manifest-sha256.txt", "missing") in kinds(store)
        assert "cannot be computed" in check_package(store).notes[0]

    def test_before_1_0_lists_may_share_the_files(self):
        files = {"data/a": b"1", "data/b": b"2"}
        md5 = f"{hashlib.md5(b'2').hexdigest()}  data/b\n".encode()
        for version, ok in (("0.97", True), ("1.0", False)):
            store = stranger(files, f"{ONE}  data/a\n", version, manifest_md5_txt=md5)
            assert check_package(store).ok is ok

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\xef\xbb\xbf" + bagit.DECLARATION,
            b"BagIt-Version: 2.0\nTag-File-Character-Encoding: UTF-8\n",
            b"BagIt-Version: 1.0\n",
            b"BagIt-Version : 1.0\nTag-File-Character-Encoding: UTF-8\n",
            b"BagIt-Version: 1.0\nTag-File-Character-Encoding: zlib_codec\n",
            b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n" + b"\n" * 2000,
            b"\xff\xfe",
        ],
    )
    def test_declarations_that_are_none(self, data):
        with pytest.raises(FormatError):
            bagit.parse_declaration(data)
        assert not check_package(MemoryStore({"bagit.txt": data, "data/a": b""}), "bagit").ok

    @pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
    def test_encodings_and_line_ends(self, ends, encoding):
        lines = ["ä b", "c", "", "d"]
        data = ends.join(lines).encode(encoding)
        for size in (1, 2, 3, 1000):
            pieces = [data[i : i + size] for i in range(0, len(data), size)]
            assert list(bagit.iter_lines(pieces, encoding, "x")) == ["ä b", "c", "d"]


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\\"), min_size=1, max_size=30))
def test_names_survive(path):
    line = bagit.manifest_line(b"\1" * 32, f"data/{path}").decode()
    assert bagit.decode_path(bagit.encode_path(path)) == path
    (only,) = list(bagit.iter_lines([line.encode()], "utf-8", "x")) if "\r" not in path else [line[:-1]]
    try:
        digest, found = bagit.parse_manifest_line(only, "sha256", "x", payload=True)
    except FormatError:
        assert re.search(r"[\x00-\x1f\x7f]|(^|/)\.{0,2}(/|$)", path)
        return
    assert digest == b"\1" * 32 and found == f"data/{path}"


@given(
    st.dictionaries(
        st.sampled_from(["bagit.txt", "manifest-sha256.txt", "manifest-md5.txt", "fetch.txt", "bag-info.txt", "data/a",
                         "tagmanifest-md5.txt", "voxarium/release.json"]),
        st.binary(max_size=60) | st.sampled_from([bagit.DECLARATION, f"{ONE}  data/a\n".encode(), b"x: y\n"]),
    )
)  # fmt: skip
def test_junk_is_reported_never_raised(objects):
    report = check_package(MemoryStore(objects), "bagit")
    json.dumps(report.to_json())
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(VoxariumError):
        import_package(MemoryStore(objects), f"{folder}/out", "bagit")
