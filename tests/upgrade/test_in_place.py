"""Upgrades in place: chunks untouched, voxels equal, documents valid; rollback gives every byte back."""

from __future__ import annotations

import json
import warnings

import numcodecs
import numpy as np
import pytest

import voxarium
import zarr
from voxarium.errors import Code, ConflictError, InputError, NotFoundError, UnsupportedError

KINDS = ("image", "labelled", "plate", "container", "mixture")


@pytest.fixture(autouse=True)
def quiet():
    """zarr-python warns of codecs that are not in the specification, and of trees with both versions."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"zarr|numcodecs|contextlib|asyncio")
        warnings.filterwarnings(
            "ignore", message=r"(?s).*(Zarr format 3|Numcodecs codecs|Both zarr|zarr v3|Object at).*"
        )
        yield


@pytest.mark.parametrize("target", ["0.5", "0.6"])
@pytest.mark.parametrize("kind", KINDS)
def test_chunks_stay_voxels_are_equal_and_rollback_restores_every_byte(tmp_path, trees, kind, target):
    trees.kinds[kind](tmp_path / "t")
    before, voxels = trees.content(tmp_path / "t"), trees.voxels(tmp_path / "t", 2)
    chunks = trees.content(tmp_path / "t", documents=False)
    report = voxarium.upgrade(tmp_path / "t", to=target)
    assert not report.refusals
    assert trees.content(tmp_path / "t", documents=False) == chunks
    documents = trees.content(tmp_path / "t", documents=True)
    assert documents and all(k.endswith("zarr.json") for k in documents)
    assert trees.equal(voxels, trees.voxels(tmp_path / "t", 3))
    voxarium.roll_back(tmp_path / "t")
    assert trees.content(tmp_path / "t") == before
    assert not (tmp_path / "t" / trees.journal).exists()


@pytest.mark.parametrize("kind", KINDS)
def test_dual_trees_are_opened_by_both_formats_of_zarr_python_over_the_same_chunks(tmp_path, trees, kind):
    trees.kinds[kind](tmp_path / "t")
    before = trees.content(tmp_path / "t")
    voxels = trees.voxels(tmp_path / "t", 2)
    voxarium.upgrade(tmp_path / "t", mode="dual")
    after = trees.content(tmp_path / "t")
    assert {k: v for k, v in after.items() if not k.endswith("zarr.json")} == before
    assert trees.equal(voxels, trees.voxels(tmp_path / "t", 2))
    assert trees.equal(voxels, trees.voxels(tmp_path / "t", 3))
    for version in (2, 3):
        zarr.open_group(str(tmp_path / "t"), mode="r", zarr_format=version)
    voxarium.upgrade(tmp_path / "t")  # the transition ends: old documents go
    assert all(k.endswith("zarr.json") for k in trees.content(tmp_path / "t", documents=True))
    voxarium.roll_back(tmp_path / "t")
    assert trees.content(tmp_path / "t") == after
    voxarium.roll_back(tmp_path / "t")
    assert trees.content(tmp_path / "t") == before
    with pytest.raises(NotFoundError):
        voxarium.roll_back(tmp_path / "t")


@pytest.mark.oracle
@pytest.mark.parametrize("kind", ["labelled", "plate"])
def test_tensorstore_reads_the_same_voxels(tmp_path, trees, kind):
    ts = pytest.importorskip("tensorstore")
    trees.kinds[kind](tmp_path / "t")
    voxels = trees.voxels(tmp_path / "t", 2)
    voxarium.upgrade(tmp_path / "t", to="0.6")
    for path, expected in voxels.items():
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(tmp_path / "t" / path)}}
        assert np.array_equal(ts.open(spec).result().read().result(), expected)


@pytest.mark.parametrize("steps", [["0.6"], ["0.5", "0.6"]])
def test_images_are_the_same_before_and_after(tmp_path, trees, steps):
    trees.labelled(tmp_path / "t")
    before = [voxarium.open(tmp_path / "t"), voxarium.open(tmp_path / "t/labels/cells")]
    for step in steps:
        voxarium.upgrade(tmp_path / "t", to=step)
    after = [voxarium.open(tmp_path / "t"), voxarium.open(tmp_path / "t/labels/cells")]
    for old, new in zip(before, after, strict=True):
        assert new.info.spec_version == steps[-1]
        assert [lv.transform for lv in new.info.levels] == [lv.transform for lv in old.info.levels]
        assert (new.info.axes, new.role, new.info.name) == (old.info.axes, old.role, old.info.name)
        assert new.info.display.channels == old.info.display.channels
        assert new.info.display.label_colors == old.info.display.label_colors
    assert after[1].role == "label" and after[0].info.display.channels


@pytest.mark.parametrize("version", ["0.1", "0.2", "0.3", "0.4"])
@pytest.mark.parametrize("target", ["0.5", "0.6"])
def test_older_versions_get_axes_scales_and_names_of_dimensions(tmp_path, trees, version, target):
    trees.image(tmp_path / "t", version, names="tczyx", shape=(1, 2, 4, 7, 9))
    before = voxarium.open(tmp_path / "t")
    voxarium.upgrade(tmp_path / "t", to=target)
    after = voxarium.open(tmp_path / "t")
    assert [lv.transform for lv in after.info.levels] == [lv.transform for lv in before.info.levels]
    assert [(a.name, a.type) for a in after.info.axes] == [(a.name, a.type) for a in before.info.axes]
    for level in "01":
        document = json.loads((tmp_path / "t" / level / "zarr.json").read_text())
        assert document["dimension_names"] == list("tczyx")
        assert document["chunk_key_encoding"]["configuration"]["separator"] == ("." if version == "0.1" else "/")
    stated = json.loads((tmp_path / "t" / "zarr.json").read_text())["attributes"]
    assert stated["ome"]["version"] == target
    assert "version" not in stated["ome"]["multiscales"][0]
    assert stated["unknown"] == [1, {"ä": None}] and stated["ome"]["multiscales"][0]["own"] == {"a": 1}


@pytest.mark.parametrize("target", ["0.5", "0.6"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_group_follows_the_rules_of_the_version(tmp_path, trees, kind, target):
    from voxarium.spec.ome.rules import check_attributes, counting

    trees.kinds[kind](tmp_path / "t")
    voxarium.upgrade(tmp_path / "t", to=target)
    seen = 0
    for file in (tmp_path / "t").rglob("zarr.json"):
        document = json.loads(file.read_text())
        if "ome" in document["attributes"]:
            findings = check_attributes(document["attributes"])
            assert not list(counting(findings, "spec")), file
            seen += 1
    assert seen


def test_words_of_other_software_are_no_ome_metadata(tmp_path, trees):
    trees.mixture(tmp_path / "t")
    voxarium.upgrade(tmp_path / "t")
    assert json.loads((tmp_path / "t/zarr.json").read_text())["attributes"] == {"own": {"labels": 3}}
    assert json.loads((tmp_path / "t/plain/zarr.json").read_text())["attributes"] == {"labels": "not of OME"}
    ome = json.loads((tmp_path / "t/container.zarr/OME/zarr.json").read_text())["attributes"]["ome"]
    assert ome == {"version": "0.5", "series": ["0", "1"]}
    point = json.loads((tmp_path / "t/plain/point/zarr.json").read_text())
    assert point["fill_value"] == "NaN" and point["shape"] == []
    assert json.loads((tmp_path / "t/plain/flat/zarr.json").read_text())["fill_value"] == 0


REFUSED = {
    "objects": ({"dtype": "|O", "filters": [{"id": "vlen-utf8"}]}, "objects"),
    "structures": ({"dtype": [["a", "<u2"], ["b", "<f4"]]}, "structures"),
    "text": ({"dtype": "<U8", "fill_value": ""}, "text"),
    "pickle": ({"filters": [{"id": "pickle"}]}, "would run code"),
    "foreign codec": ({"compressor": {"id": "imagecodecs_jpegxl"}}, "imagecodecs_jpegxl"),
    "big-endian delta": ({"dtype": ">u2", "filters": [{"id": "delta", "dtype": ">u2"}]}, "big-endian"),
    "broken": ({"chunks": "x"}, "chunks"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_refusal_stops_everything_before_it_begins_unless_skipped(tmp_path, trees, reason):
    changed, words = REFUSED[reason]
    trees.group(tmp_path / "t")
    trees.labelled(tmp_path / "t/good")
    trees.image(tmp_path / "t/bad")
    file = tmp_path / "t/bad/1/.zarray"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))
    before = trees.content(tmp_path / "t")
    with pytest.raises(UnsupportedError, match=words) as error:
        voxarium.upgrade(tmp_path / "t")
    assert "skip-refused" in error.value.fix
    assert trees.content(tmp_path / "t") == before and not (tmp_path / "t" / trees.journal).exists()
    listed = voxarium.upgrade(tmp_path / "t", dry_run=True)
    assert [r.path for r in listed.refusals] == ["bad"] and words in listed.refusals[0].message
    assert trees.content(tmp_path / "t") == before
    voxarium.upgrade(tmp_path / "t", skip_refused=True)
    after = trees.content(tmp_path / "t")
    assert {k: v for k, v in after.items() if k.startswith("bad/")} == {
        k: v for k, v in before.items() if k.startswith("bad/")
    }
    assert voxarium.open(tmp_path / "t/good").info.spec_version == "0.5"


def test_a_dry_run_lists_exactly_what_a_run_changes(tmp_path, trees):
    trees.mixture(tmp_path / "t")
    before = trees.content(tmp_path / "t")
    listed = voxarium.upgrade(tmp_path / "t", to="0.6", dry_run=True).changes
    assert trees.content(tmp_path / "t") == before
    report = voxarium.upgrade(tmp_path / "t", to="0.6")
    after = trees.content(tmp_path / "t")
    assert {k for action, k in listed if action == "write"} == after.keys() - before.keys()
    assert {k for action, k in listed if action == "remove"} == before.keys() - after.keys()
    assert report.written + report.removed == len(listed) == len(set(listed))


def test_doing_it_again_changes_nothing(tmp_path, trees):
    trees.plate(tmp_path / "t")
    voxarium.upgrade(tmp_path / "t", to="0.6")
    after = trees.content(tmp_path / "t")
    report = voxarium.upgrade(tmp_path / "t", to="0.6")
    assert (report.written, report.removed, report.journal) == (0, 0, None)
    assert trees.content(tmp_path / "t") == after
    with pytest.raises(UnsupportedError, match=r"0\.6"):
        voxarium.upgrade(tmp_path / "t", to="0.5")


def test_a_part_of_a_larger_tree_is_refused_unless_both_versions_stay(tmp_path, trees):
    trees.plate(tmp_path / "t")
    with pytest.raises(InputError, match="part of the tree"):
        voxarium.upgrade(tmp_path / "t/A/1")
    voxarium.upgrade(tmp_path / "t/A/1", mode="dual")
    assert (tmp_path / "t/A/1/zarr.json").exists() and (tmp_path / "t/A/1/.zattrs").exists()


def test_a_link_out_of_the_tree_is_refused(tmp_path, trees):
    trees.image(tmp_path / "elsewhere")
    trees.group(tmp_path / "t")
    (tmp_path / "t/link").symlink_to(tmp_path / "elsewhere")
    before = trees.content(tmp_path / "elsewhere")
    with pytest.raises(UnsupportedError, match="link"):
        voxarium.upgrade(tmp_path / "t")
    voxarium.upgrade(tmp_path / "t", skip_refused=True)
    assert trees.content(tmp_path / "elsewhere") == before


def test_levels_outside_their_group_are_refused(tmp_path, trees):
    trees.image(tmp_path / "t")
    file = tmp_path / "t/.zattrs"
    file.write_text(file.read_text().replace('"path": "1"', '"path": "../../x"'))
    with pytest.raises(UnsupportedError, match="below its group"):
        voxarium.upgrade(tmp_path / "t")


def test_a_document_changed_after_the_upgrade_is_not_lost_by_a_rollback(tmp_path, trees):
    trees.image(tmp_path / "t")
    voxarium.upgrade(tmp_path / "t")
    edited = json.loads((tmp_path / "t/zarr.json").read_text())
    edited["attributes"]["mine"] = 1
    (tmp_path / "t/zarr.json").write_text(json.dumps(edited))
    with pytest.raises(ConflictError, match="changed by something else"):
        voxarium.roll_back(tmp_path / "t")
    assert json.loads((tmp_path / "t/zarr.json").read_text()) == edited


def test_a_damaged_journal_is_noticed(tmp_path, trees):
    trees.image(tmp_path / "t")
    voxarium.upgrade(tmp_path / "t")
    after = trees.content(tmp_path / "t")
    segment = tmp_path / "t" / trees.journal / "0001/000001.jsonl"
    segment.write_bytes(segment.read_bytes().replace(b"em", b"me"))
    with pytest.raises(voxarium.VoxariumError) as error:
        voxarium.roll_back(tmp_path / "t")
    assert error.value.code == Code.CHECKSUM_MISMATCH
    assert trees.content(tmp_path / "t") == after


def test_folders_without_metadata_are_nothing(tmp_path):
    (tmp_path / "t/a").mkdir(parents=True)
    with pytest.raises(NotFoundError):
        voxarium.upgrade(tmp_path / "t")


def test_transformations_of_a_whole_image_reach_its_levels(tmp_path, trees):
    trees.image(tmp_path / "t")
    file = tmp_path / "t/.zattrs"
    attributes = json.loads(file.read_text())
    attributes["multiscales"][0]["coordinateTransformations"] = [{"type": "scale", "scale": [3, 1, 2]}]
    file.write_text(json.dumps(attributes))
    before = voxarium.open(tmp_path / "t")
    report = voxarium.upgrade(tmp_path / "t", to="0.6")
    assert any("taken into" in text for text in report.notes)
    after = voxarium.open(tmp_path / "t")
    assert [lv.transform for lv in after.info.levels] == [lv.transform for lv in before.info.levels]


CODINGS = [
    {"order": "F"},
    {"compressors": None, "dtype": ">f4"},
    {"compressors": numcodecs.Blosc("zstd", 3, 2)},
    {"compressors": numcodecs.Blosc("lz4", 3, -1), "dtype": "|u1"},
    {"compressors": numcodecs.GZip(-1)},
    {"compressors": numcodecs.BZ2(1), "order": "F", "filters": [numcodecs.Delta("<u2")]},
    {"compressors": numcodecs.LZMA(), "filters": [numcodecs.Shuffle(2)]},
    {"compressors": numcodecs.LZ4(), "filters": [numcodecs.FixedScaleOffset(0, 1, "<u2", "<u4")]},
    {"compressors": numcodecs.Zstd(3), "filters": [numcodecs.AsType("<u4", "<u2")]},
    {"compressors": numcodecs.Zlib(1), "filters": [numcodecs.Delta("<u2", "<i4")]},
    {"compressors": None, "filters": [numcodecs.Adler32()]},
    {"compressors": None, "filters": [numcodecs.Fletcher32()]},
    {"compressors": None, "filters": [numcodecs.CRC32()]},
    {"filters": [numcodecs.Quantize(2, "<f4")], "dtype": "<f4"},
    {"filters": [numcodecs.BitRound(9)], "dtype": "<f4"},
]


@pytest.mark.parametrize("coding", CODINGS, ids=str)
def test_every_coding_reads_the_same_in_zarr_python_and_here(tmp_path, trees, coding):
    from voxarium.core.opening import open_array
    from voxarium.stores.local import LocalStore

    trees.group(tmp_path / "t")
    trees.array(tmp_path / "t/a", **coding)
    voxels = trees.voxels(tmp_path / "t", 2)
    voxarium.upgrade(tmp_path / "t")
    assert trees.equal(voxels, trees.voxels(tmp_path / "t", 3))
    assert np.array_equal(open_array(LocalStore(tmp_path / "t"), "a")[:, :, :], voxels["a"])
