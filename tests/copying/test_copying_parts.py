"""Copies of parts: the metadata say what is there, and every voxel keeps its place in the world."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from copying_data import objects

import voxarium
from voxarium.archive.copying import copy, plan_copy
from voxarium.archive.copying.documents import ZarrEdits
from voxarium.archive.copying.order import rank
from voxarium.cli.main import main
from voxarium.errors import FormatError, InputError, NotFoundError, UnsupportedError
from voxarium.stores.local import LocalStore


@pytest.fixture(scope="module", params=["0.4", "0.5", "0.6"])
def versions(request, tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("versions"), np.random.default_rng(1)
    np.save(folder / "em.npy", rng.integers(1, 200, (21, 30, 37)).astype(np.uint8))
    np.save(folder / "cells.npy", rng.integers(1, 9, (21, 30, 37)).astype(np.uint16))
    choices = {"axes": "zyx", "voxel_size": (8, 4, 4), "unit": "nanometer", "chunk": 4, "levels": 3}
    choices["spec_version"] = request.param
    if request.param != "0.4":
        choices["shard"] = 8
    voxarium.convert(folder / "em.npy", folder / "em.zarr", **choices)
    voxarium.convert(folder / "cells.npy", folder / "em.zarr/labels/cells", role="label", **choices)
    if request.param == "0.4":
        _consolidate(folder / "em.zarr")
    return folder / "em.zarr"


def _consolidate(root):
    """Write .zmetadata as zarr-python does."""
    names = {".zattrs", ".zgroup", ".zarray"}
    entries = {k: json.loads(v) for k, v in objects(root).items() if k.rpartition("/")[2] in names}
    (root / ".zmetadata").write_text(json.dumps({"zarr_consolidated_format": 1, "metadata": entries}))


def test_levels_from_one_on_keep_their_coordinates(versions, tmp_path):
    whole = voxarium.open(versions)
    report = copy(versions, tmp_path / "part.zarr", levels="1:", write_manifest=True)
    assert report.ok and report.edited
    part = voxarium.open(tmp_path / "part.zarr")
    assert [level.path for level in part.levels] == ["s1", "s2"]
    for i in (0, 1):
        assert part.scale_translation(i) == whole.scale_translation(i + 1)
        np.testing.assert_array_equal(part.read(level=i), whole.read(level=i + 1))
    assert not [k for k in objects(tmp_path / "part.zarr") if k.startswith("s0/") or "/s0/" in k]
    label = voxarium.open(tmp_path / "part.zarr/labels/cells")
    assert [level.path for level in label.levels] == ["s1", "s2"]
    assert voxarium.verify(tmp_path / "part.zarr").ok
    assert voxarium.validate(tmp_path / "part.zarr").valid
    # Nothing anywhere still speaks of level 0.
    documents = {k: v for k, v in objects(tmp_path / "part.zarr").items() if rank(k)}
    assert documents and not any(b'"s0' in v or b"/s0" in v for v in documents.values())


def test_other_readers_agree(versions, tmp_path):
    zarr = pytest.importorskip("zarr")
    copy(versions, tmp_path / "part.zarr", levels="0,2")
    group = zarr.open_group(tmp_path / "part.zarr", mode="r")
    assert {name for name, _ in group.arrays()} == {"s0", "s2"}
    np.testing.assert_array_equal(group["s2"][:], voxarium.open(versions).read(level=2))
    np.testing.assert_array_equal(group["labels/cells/s0"][:], voxarium.open(versions / "labels/cells").read())


def test_a_region_keeps_its_place_and_the_rest_is_declared(versions, tmp_path):
    whole = voxarium.open(versions)
    report = copy(versions, tmp_path / "part.zarr", box=((5, 9), (None, 10), (20, None)))
    assert report.ok and report.absent > 0 and any("fill value" in n for n in report.notes)
    part = voxarium.open(tmp_path / "part.zarr")
    np.testing.assert_array_equal(part[5:9, :10, 20:], whole[5:9, :10, 20:])
    assert part.shape == whole.shape and part.scale_translation() == whole.scale_translation()
    key = ".zattrs" if (tmp_path / "part.zarr/.zattrs").exists() else "zarr.json"
    found = json.loads((tmp_path / "part.zarr" / key).read_bytes())
    present = found.get("attributes", found)["voxarium"]["present"]
    assert set(present) == {"s0", "s1", "s2"}
    for name, bounds in present.items():
        level = int(name[1])
        inside = tuple(slice(a, b) for a, b in bounds)
        np.testing.assert_array_equal(part.read(level=level)[inside], whole.read(level=level)[inside])
        outside = np.ones(part.level(level).shape, bool)
        outside[inside] = False
        assert not part.read(level=level)[outside].any()
    # Voxels of coarser levels that show the region are there too.
    z = slice(5, 9) if whole.level(1).shape[0] == whole.shape[0] else slice(2, 5)
    np.testing.assert_array_equal(part.read(level=1)[z, :5, 10:], whole.read(level=1)[z, :5, 10:])
    label = voxarium.open(tmp_path / "part.zarr/labels/cells")
    np.testing.assert_array_equal(label[5:9, :10, 20:], voxarium.open(versions / "labels/cells")[5:9, :10, 20:])
    assert any("region" in note for record in part.info.bag.records for note in record.notes)
    # Every object is one of the source.
    source = objects(versions)
    different = {k for k, v in objects(tmp_path / "part.zarr").items() if source.get(k) != v}
    assert different == set(report.edited)


def test_a_region_grows_by_update(versions, tmp_path):
    copy(versions, tmp_path / "part.zarr", box=((0, 8), (0, 8), (0, 8)))
    assert copy(versions, tmp_path / "part.zarr", update=True).ok
    assert objects(tmp_path / "part.zarr") == objects(versions)


def test_a_bare_array_can_be_cut_too(versions, tmp_path):
    copy(versions / "s1", tmp_path / "array.zarr", box=((0, 3), (0, 3), (0, 3)))
    part, whole = voxarium.open(tmp_path / "array.zarr"), voxarium.open(versions / "s1")
    np.testing.assert_array_equal(part[:4, :4, :4], whole[:4, :4, :4])
    assert not part[8:].any()


def test_a_region_from_a_release_is_compared_with_it(image, tmp_path):
    from copying_data import publish

    shutil.copytree(image, tmp_path / "brain/em")
    publish(LocalStore(tmp_path / "brain"))
    report = copy(f"{tmp_path}/brain@v1.0/em", tmp_path / "part", box=((0, 8), (0, 8), (0, 8)), levels="0")
    assert report.ok and report.compared == report.objects - len(report.edited) > 0
    (tmp_path / "brain/em/s0/c/0/0/0").write_bytes(b"x" * (tmp_path / "brain/em/s0/c/0/0/0").stat().st_size)
    report = copy(f"{tmp_path}/brain@v1.0/em", tmp_path / "other", box=((0, 8), (0, 8), (0, 8)), levels="0")
    assert [(p.key, p.kind) for p in report.problems] == [("s0/c/0/0/0", "changed")]


def test_members_of_a_dataset(image, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["dataset", "create", "brain", "--name", "brain"]) == 0
    shutil.copytree(image, "brain/em/raw")
    shutil.copytree(image / "labels/cells", "brain/labels/cells")
    Path("brain/meshes").mkdir()
    Path("brain/meshes/cells.obj").write_bytes(b"v 0 0 0")
    Path("brain/README.md").write_bytes(b"read me")
    for path in ("em/raw", "labels/cells"):
        assert main(["dataset", "add", "brain", path]) == 0, capsys.readouterr().err
    assert main(["dataset", "link", "brain", "labels/cells", "em/raw"]) == 0, capsys.readouterr().err
    report = copy("brain", "part", images=("em/raw",))
    assert report.ok
    part = voxarium.open("part")
    assert part.keys() == ["em/raw"]
    assert {k for k in objects(tmp_path / "part")} >= {"dataset.json", "README.md", "em/raw/zarr.json"}
    assert not [
        k for k in objects(tmp_path / "part") if k.startswith(("labels/", "meshes/", "releases/", "provenance-log/"))
    ]
    assert b"labels/cells" not in b"".join(v for k, v in objects(tmp_path / "part").items() if "/" not in k)
    np.testing.assert_array_equal(part["em/raw"][:], voxarium.open(image)[:])
    report = copy("brain", "coarse", images=("em/raw", "labels/cells"), levels="2")
    assert report.ok and [len(voxarium.open("coarse")[k].levels) for k in ("em/raw", "labels/cells")] == [1, 1]
    with pytest.raises(NotFoundError):
        copy("brain", "none", images=("em/other",))
    with pytest.raises(InputError):
        copy("brain", "none", box=((0, 1),) * 3)
    with pytest.raises(InputError):
        copy(image, "none", images=("labels/cells",))
    assert main(["copy", "brain", "cut", "--image", "em/raw", "--level", "0", "--box", "0:8,0:8,0:8"]) == 0
    assert "absent" in capsys.readouterr().out


class Unlisted:
    """A store that cannot list, and counts what it is asked for."""

    uri, concurrency = "far://away", 8

    def __init__(self, folder):
        self._inner, self.asked = LocalStore(folder), []

    def get(self, key, /):
        return self._inner.get(key)

    def get_ranges(self, key, ranges, /):
        return self._inner.get_ranges(key, ranges)

    def stat(self, key, /):
        self.asked.append(key)
        return self._inner.stat(key)


def test_only_objects_of_the_part_are_asked_for_where_nothing_can_be_listed(versions, tmp_path):
    choices = {"levels": "0", "box": ((0, 8), (0, 8), (0, 8))}
    far = Unlisted(versions)
    report = copy(far, tmp_path / "far.zarr", **choices)
    copy(versions, tmp_path / "near.zarr", **choices)
    assert report.ok and any("cannot be listed" in note for note in report.notes)
    assert objects(tmp_path / "far.zarr") == objects(tmp_path / "near.zarr")
    chunks = {key for key in far.asked if key.startswith("s0/") and not rank(key)}
    assert len(chunks) <= 8 and not [k for k in far.asked if k.startswith(("s1/", "labels/cells/s1/"))]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["s0", "s1", "em", "datasets", "path"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["attributes", "ome", "multiscales", "datasets", "path", "metadata", "consolidated_metadata",
                         "s0", "em/s0", "s0/.zarray", ".zattrs", "voxarium"]), inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["zarr.json", ".zattrs", ".zmetadata", "em/zarr.json", "em/.zattrs"]), JSON))
def test_whatever_documents_say_the_changed_ones_are_json(found):
    edits = ZarrEdits(lambda key: json.dumps(found[key]).encode() if key in found else None)
    with contextlib.suppress(FormatError):
        edits.without_levels("em", {"s0"})
        edits.with_present("em", {"s1": [[0, 1]]})
        for data in edits.result("").values():
            json.loads(data)


def test_what_cannot_be_cut_is_refused_and_told_what_can(tmp_path):
    np.save(tmp_path / "em.npy", np.zeros((8, 9, 10), np.uint8))
    for choices in ({"levels": "0"}, {"box": ((0, 4),) * 3}):
        with pytest.raises(UnsupportedError, match="cannot be copied") as caught:
            copy(tmp_path / "em.npy", tmp_path / "part", **choices)
        assert "voxarium convert" in str(caught.value.__notes__)


def test_impossible_levels_and_regions(image, tmp_path):
    with pytest.raises(NotFoundError):
        copy(image, tmp_path / "part", levels="3")
    for box in (((0, 4),) * 2, ((0, 4), (0, 4), (0, 400)), ((4, 4),) * 3):
        with pytest.raises(InputError):
            copy(image, tmp_path / "part", box=box)
    plan = plan_copy(image, tmp_path / "part", levels="2", box=((0, 8),) * 3)
    assert 0 < plan.left_objects < 10 and plan.absent >= 0


def test_versions_without_scales_keep_level_0(image, tmp_path):
    old = tmp_path / "old.zarr"
    for name, shape in (("0", [1, 1, 4, 8, 8]), ("1", [1, 1, 4, 4, 4])):
        (old / name).mkdir(parents=True)
        meta = {"zarr_format": 2, "shape": shape, "chunks": [1, 1, 4, 4, 4], "dtype": "|u1", "compressor": None,
                "fill_value": 0, "order": "C", "filters": None}  # fmt: skip
        (old / name / ".zarray").write_text(json.dumps(meta))
    (old / ".zgroup").write_text('{"zarr_format": 2}')
    multiscales = [{"version": "0.1", "datasets": [{"path": "0"}, {"path": "1"}]}]
    (old / ".zattrs").write_text(json.dumps({"multiscales": multiscales}))
    with pytest.raises(UnsupportedError, match="scales"):
        copy(old, tmp_path / "part.zarr", levels="1")
    assert copy(old, tmp_path / "part.zarr", levels="0").ok
    assert len(voxarium.open(tmp_path / "part.zarr").levels) == 1
