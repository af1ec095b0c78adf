"""A draft of an earlier release is brought onto the last one, unless both changed the same voxels."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from release_data import NOTHING
from typer.testing import CliRunner

import voxarium
from voxarium.archive.draft_rebasing import rebase_draft
from voxarium.archive.release_checks import verify_release
from voxarium.archive.release_making import ReleaseOptions, create_release
from voxarium.archive.retention import CollectOptions, collect
from voxarium.cli.main import app
from voxarium.errors import ConflictError, NotFoundError

SHAPE = (41, 37, 50)
VOXELS = np.random.default_rng(1).integers(1, 200, SHAPE).astype(np.uint8)
HOW = {"axes": "zyx", "voxel_size": 8, "unit": "nanometer", "chunk": 8, "shard": 16, "levels": 4}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def publish(dataset, name="v1.0", **options):
    return create_release(dataset, name, ReleaseOptions(policy=NOTHING, agent=None, **options))


def converted(folder, voxels, where="brain/em"):
    np.save(folder / "voxels.npy", voxels)
    voxarium.convert(folder / "voxels.npy", folder / where, **HOW)


@pytest.fixture
def brain(tmp_path):
    converted(tmp_path, VOXELS)
    publish(tmp_path / "brain")
    return str(tmp_path / "brain")


def edit(dataset, name, *boxes, value=7):
    with voxarium.open_draft(dataset, name) as draft:
        for box in boxes:
            draft["em"][box] = value


def levels_of(address):
    return [a[...] for a in voxarium.open(address).arrays]


def box(z, y, x, n=3):
    return slice(z, z + n), slice(y, y + n), slice(x, x + n)


def test_two_drafts_of_one_release_are_published_one_after_the_other(brain, tmp_path):
    edit(brain, "draft-a", box(3, 3, 3), box(30, 30, 40))
    edit(brain, "draft-b", box(6, 3, 3), value=9)  # of the same chunk
    publish(brain, "v1.1", draft="draft-a")
    with pytest.raises(ConflictError, match="was changed by release") as caught:
        publish(brain, "v1.2", draft="draft-b")
    assert "voxarium release draft rebase" in caught.value.fix
    found = rebase_draft(brain, "draft-b")
    assert (found.before, found.state.base, found.voxels) == ("v1.0", "v1.1", 27)
    publish(brain, "v1.2", draft="draft-b")
    wanted = VOXELS.copy()
    wanted[box(3, 3, 3)] = wanted[box(30, 30, 40)] = 7
    wanted[box(6, 3, 3)] = 9
    converted(tmp_path, wanted, "fresh")
    for a, b in zip(levels_of(f"{brain}@v1.2/em"), levels_of(tmp_path / "fresh"), strict=True):
        assert np.array_equal(a, b)
    for name in ("v1.0", "v1.1", "v1.2"):
        assert verify_release(brain, name).ok
    collect(brain, CollectOptions(grace=0.0, apply=True, agent=None))
    assert verify_release(brain, "v1.2").ok


def test_the_same_voxels_are_a_conflict_unless_they_became_the_same(brain):
    edit(brain, "draft-a", box(3, 3, 3))
    edit(brain, "draft-b", box(5, 5, 5), value=9)
    edit(brain, "draft-c", box(5, 5, 5), value=7)
    publish(brain, "v1.1", draft="draft-a")
    before = levels_of(f"{brain}@draft-b/em")
    with pytest.raises(ConflictError, match="voxels of em/s0 within"):
        rebase_draft(brain, "draft-b")
    assert all(map(np.array_equal, levels_of(f"{brain}@draft-b/em"), before))
    assert rebase_draft(brain, "draft-c").state.base == "v1.1"
    wanted = VOXELS.copy()
    wanted[box(3, 3, 3)] = wanted[box(5, 5, 5)] = 7
    assert np.array_equal(levels_of(f"{brain}@draft-c/em")[0], wanted)


def test_edits_of_one_coarse_level_alone_are_brought_along(brain):
    with voxarium.open_draft(brain, "draft-b") as draft:
        draft["em/s1"][1, 1, 1] = 201
    edit(brain, "draft-a", box(30, 30, 40))
    publish(brain, "v1.1", draft="draft-a")
    assert rebase_draft(brain, "draft-b").voxels == 1
    found = levels_of(f"{brain}@draft-b/em")
    assert found[1][1, 1, 1] == 201 and np.array_equal(found[0], levels_of(f"{brain}@v1.1/em")[0])


def test_a_draft_of_the_last_release_stays_and_one_that_is_none_is_named(brain):
    edit(brain, "draft", box(3, 3, 3))
    state = rebase_draft(brain).state
    assert state.sequence == 2 and rebase_draft(brain).voxels == 0
    with pytest.raises(NotFoundError):
        rebase_draft(brain, "draft-x")


def test_an_image_that_is_another_one_now_is_a_conflict(brain, tmp_path):
    edit(brain, "draft", box(3, 3, 3))
    create_release(brain, "v1.1", ReleaseOptions(policy=NOTHING, agent=None, note="nothing else changed"))
    assert rebase_draft(brain).state.base == "v1.1"  # the same image
    assert np.array_equal(levels_of(f"{brain}@draft/em")[0][box(3, 3, 3)], np.full((3, 3, 3), 7))


def test_the_command_says_what_it_did(brain):
    edit(brain, "draft-a", box(3, 3, 3))
    edit(brain, "draft-b", box(20, 3, 3))

    def run(*words):
        result = CliRunner().invoke(app, ["release", "draft", "rebase", brain, *words])
        assert result.exit_code == 0, result.output
        return result.output

    assert "which is the last release" in run("draft-b")
    publish(brain, "v1.1", draft="draft-a")
    assert "draft-b edits v1.1 instead of v1.0: 27 voxels were assigned again" in run("draft-b")
