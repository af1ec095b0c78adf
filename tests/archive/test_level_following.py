"""Coarser levels follow an edit of level 0: a draft is what a pyramid of the edited volume would be."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from release_data import NOTHING
from typer.testing import CliRunner

import voxarium
from voxarium.archive.drafts import draft_status
from voxarium.archive.release_checks import verify_release
from voxarium.archive.release_making import ReleaseOptions, create_release
from voxarium.cli.main import app
from voxarium.errors import ConflictError, InputError

SHAPE = (41, 37, 50)
HOW = {"axes": "zyx", "voxel_size": 8, "unit": "nanometer", "chunk": 8, "shard": 16, "levels": 4}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def publish(dataset, name="v1.0", **options):
    return create_release(dataset, name, ReleaseOptions(policy=NOTHING, agent=None, **options))


def volume(dtype="uint8", seed=1):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.normal(size=SHAPE).astype(dtype)
    return rng.integers(0, 6, SHAPE).astype(dtype)  # few values: windows have modes, and ties


def converted(folder, voxels, where="brain/em", **how):
    np.save(folder / "voxels.npy", voxels)
    voxarium.convert(folder / "voxels.npy", folder / where, **(HOW | how))
    return [a[...] for a in voxarium.open(folder / where).arrays]


def levels_of(address):
    return [a[...] for a in voxarium.open(address).arrays]


def assert_same(found, wanted):
    assert [a.shape for a in found] == [a.shape for a in wanted]
    for level, (a, b) in enumerate(zip(found, wanted, strict=True)):
        assert a.tobytes() == b.tobytes(), (level, int((a != b).sum()))


EDITS = [
    ((3, 3, 3), (1, 1, 1)),
    ((7, 9, 0), (10, 10, 10)),
    ((40, 36, 49), (1, 1, 1)),
    ((16, 0, 0), (9, 37, 50)),
    ((8, 9, 2), (3, 3, 3)),
]


@pytest.mark.parametrize(
    ("dtype", "how"),
    [
        ("uint8", {}),
        ("float32", {}),
        ("uint64", {"role": "label"}),
        ("uint64", {"role": "label", "ignore_zero": True}),
        ("uint16", {"method": "median"}),
        ("int16", {"method": "min"}),
        ("uint8", {"method": "max", "factors": "1,2,2"}),
        ("uint8", {"method": "stride"}),
        ("uint8", {"method": "gaussian"}),
        ("float32", {"method": "gaussian"}),
        ("uint8", {"spec_version": "0.4", "shard": None}),
        ("uint8", {"format": "n5-viewer", "shard": None}),
        ("uint8", {"format": "precomputed", "shard": None}),
        ("uint32", {"format": "precomputed", "shard": 16, "role": "label"}),
        ("uint8", {"format": "webknossos", "chunk": 8, "shard": 16}),
    ],
)
def test_a_draft_is_what_a_pyramid_of_the_edited_volume_would_be(tmp_path, dtype, how):
    if how.get("factors"):
        how = how | {"factors": tuple(map(int, how["factors"].split(",")))}
    voxels = volume(dtype)
    converted(tmp_path, voxels, **how)
    brain = str(tmp_path / "brain")
    publish(brain)
    wanted = levels_of(f"{brain}@v1.0/em")[0].copy()
    axes = wanted.ndim
    with voxarium.open_draft(brain) as draft:
        for n, (start, shape) in enumerate(EDITS):
            box = (...,) if axes == 3 else (0,) if wanted.shape[0] == 1 else (...,)
            at = tuple(slice(a, a + b) for a, b in zip(start, shape, strict=True))
            place = (*box, *at) if axes == 4 and wanted.shape[0] == 1 else (*at, *([0] * (axes - 3)))
            draft["em"][place] = n + 1
            wanted[place] = n + 1
    spatial = wanted.reshape([n for n in wanted.shape if n != 1] if axes == 4 else wanted.shape)
    fresh = converted(tmp_path, spatial.reshape(SHAPE), "fresh", **how)
    assert len(fresh) > 2
    assert_same(levels_of(f"{brain}@draft/em"), fresh)
    publish(brain, "v1.1", draft="draft")
    assert_same(levels_of(f"{brain}@v1.1/em"), fresh)
    assert verify_release(brain, "v1.1").ok and verify_release(brain, "v1.0").ok
    digests = [voxarium.logical_digest(a).content for a in (f"{brain}@v1.1/em", tmp_path / "fresh")]
    assert digests[0] == digests[1]


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_edits_one_after_the_other_lead_to_the_same_pyramid(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("edits")
    voxels = volume(seed=data.draw(st.integers(0, 9)))
    method = data.draw(st.sampled_from(["mean", "mode", "max", "stride", "median"]))
    converted(folder, voxels, method=method)
    brain = str(folder / "brain")
    publish(brain)
    for _ in range(data.draw(st.integers(1, 3))):
        with voxarium.open_draft(brain) as draft:
            for _ in range(data.draw(st.integers(1, 4))):
                start = [data.draw(st.integers(0, n - 1)) for n in SHAPE]
                box = tuple(slice(a, a + data.draw(st.integers(1, 12))) for a in start)
                draft["em/s0"][box] = voxels[box] = data.draw(st.integers(0, 255))
    assert_same(levels_of(f"{brain}@draft/em"), converted(folder, voxels, "fresh", method=method))


def test_a_thousand_voxels_cost_about_one_chunk_of_each_level(tmp_path):
    voxels = np.random.default_rng(2).integers(0, 255, (256, 256, 256)).astype(np.uint8)
    converted(tmp_path, voxels, chunk=64, shard=128, levels=3)
    brain = tmp_path / "brain"
    publish(brain)
    with voxarium.open_draft(brain) as draft:
        draft["em"][10:20, 10:20, 10:20] = 9
    status = draft_status(brain)
    view = voxarium.open(f"{brain}@draft/em")
    chunks = sum(len(bytes(a.payloads([(0, 0, 0)])[0][1])) for a in view.arrays)
    assert sorted(status.state.edits) == [f"em/s{i}/c/0/0/0" for i in range(3)]
    assert 500_000 < chunks <= status.stored < 1.02 * chunks
    wanted = voxels.copy()
    wanted[10:20, 10:20, 10:20] = 9
    assert_same(levels_of(f"{brain}@draft/em"), converted(tmp_path, wanted, "fresh", chunk=64, shard=128, levels=3))


def test_edits_that_change_nothing_store_nothing(tmp_path):
    voxels = volume()
    converted(tmp_path, voxels)
    brain = tmp_path / "brain"
    publish(brain)
    with voxarium.open_draft(brain) as draft:
        draft["em"][...] = voxels
        draft["em"][5, 5, 5] = voxels[5, 5, 5]
    assert not draft.state.edits


def test_a_level_of_which_no_voxel_changes_ends_the_following(tmp_path):
    voxels = volume()
    converted(tmp_path, voxels, method="stride")
    brain = tmp_path / "brain"
    publish(brain)
    with voxarium.open_draft(brain) as draft:
        draft["em"][1, 1, 1] = 99  # strides see even numbers only
    assert list(draft.state.edits) == ["em/s0/c/0/0/0"]


def test_levels_made_in_another_way_than_stated_are_not_guessed(tmp_path):
    voxels = volume()
    converted(tmp_path, voxels)
    brain = tmp_path / "brain"
    document = brain / "em/zarr.json"
    text = document.read_text()
    document.write_text(text.replace('"mean"', '"max"'))
    publish(brain)
    draft = voxarium.open_draft(brain)
    draft["em"][5, 5, 5] = 200
    with pytest.raises(ConflictError, match="is not em/s0 downsampled by"):
        draft.flush()
    assert not draft.state.edits
    draft.array("em", levels="keep")
    draft.flush()
    assert list(draft.state.edits) == ["em/s0/c/0/0/0"]
    draft.array("em", method="mean")[5, 5, 5] = 201
    draft.flush()
    wanted = voxels.copy()
    wanted[5, 5, 5] = 201
    assert_same(levels_of(f"{brain}@draft/em"), converted(tmp_path, wanted, "fresh"))


def test_a_method_that_invents_labels_is_refused(tmp_path):
    converted(tmp_path, volume("uint64"), role="label")
    publish(tmp_path / "brain")
    draft = voxarium.open_draft(tmp_path / "brain")
    with pytest.raises(InputError, match="invent labels"):
        draft.array("em", method="mean")
    with pytest.raises(InputError, match="no downsampling method"):
        draft.array("em", method="magic")


def test_where_zeros_do_not_vote_is_found_out_beyond_the_edit(tmp_path):
    """Among zeros, both ways of the mode agree with what is there; the rest of the level tells."""
    voxels = np.zeros(SHAPE, np.uint64)
    voxels[20:, 10:30, 20:40] = volume("uint64")[20:, 10:30, 20:40] % 2
    how = {"role": "label", "ignore_zero": True}
    converted(tmp_path, voxels, **how)
    brain = tmp_path / "brain"
    publish(brain)
    with voxarium.open_draft(brain) as draft:
        draft["em"][2, 2, 2] = 5
    voxels[2, 2, 2] = 5
    found = levels_of(f"{brain}@draft/em")
    assert found[1][1, 1, 1] == 5
    assert_same(found, converted(tmp_path, voxels, "fresh", **how))


def test_two_who_edit_one_window_both_count(tmp_path):
    voxels = volume()
    converted(tmp_path, voxels)
    brain = tmp_path / "brain"
    publish(brain)
    one, other = voxarium.open_draft(brain), voxarium.open_draft(brain)
    one["em"][4, 4, 4] = voxels[4, 4, 4] = 100
    other["em"][5, 5, 5] = voxels[5, 5, 5] = 200
    one.flush()
    other.flush()
    assert_same(levels_of(f"{brain}@draft/em"), converted(tmp_path, voxels, "fresh"))


def test_nan_spreads_to_coarser_levels_and_goes(tmp_path):
    voxels = volume("float32")
    converted(tmp_path, voxels)
    brain = tmp_path / "brain"
    publish(brain)
    for value in (np.nan, 1.5):
        with voxarium.open_draft(brain) as draft:
            draft["em"][9, 9, 9] = voxels[9, 9, 9] = value
        assert_same(levels_of(f"{brain}@draft/em"), converted(tmp_path, voxels, "fresh", overwrite=True))


def test_a_published_edit_is_clean_for_validation_and_logical_digests(tmp_path):
    voxels = volume()
    converted(tmp_path, voxels)
    brain = tmp_path / "brain"
    (brain / "dataset.json").write_text('{"name": "brain"}')
    digest = ("digest", brain / "em", "--tree", brain / "em.vldtree", "--quiet")
    assert CliRunner().invoke(app, list(map(str, digest))).exit_code == 0
    publish(brain)
    with voxarium.open_draft(brain) as draft:
        draft["em"][7:17, 9:19, :10] = 9

    def run(*words, codes=(0,)):
        result = CliRunner().invoke(app, list(map(str, words)))
        assert result.exit_code in codes, result.output
        return json.loads(result.output)

    for name in ("draft", "v1.1"):
        if name != "draft":
            publish(brain, name, draft="draft")
        found = run("validate", f"{brain}@{name}/em", "--depth", "data", "--json")
        data = [f for f in found["findings"] if f["rule"].startswith("DA-") and f["severity"] in ("error", "warning")]
        assert not data, data
    assert run("verify", f"{brain}@v1.0", "--level", "logical", "--json")["ok"]
    voxels[7:17, 9:19, :10] = 9
    converted(tmp_path, voxels, "fresh")
    wanted = voxarium.logical_digest(tmp_path / "fresh").content
    assert run("verify", f"{brain}@v1.1", "--level", "logical", "--digest", wanted, "--json")["ok"]
