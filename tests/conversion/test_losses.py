"""What a target cannot hold is told before anything is written, and refused unless accepted."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

import voxarium
from voxarium.cli.main import app
from voxarium.conversion import ConvertOptions, plan
from voxarium.conversion.losses import check_dtype, fitting_units, snapped
from voxarium.core.image import Image
from voxarium.errors import Code, InputError, UnsupportedError
from voxarium.model.abilities import Holds
from voxarium.model.axes import Axis
from voxarium.model.image import Bag, ChannelDisplay, Display, LabelColor, TransformEdge, Value
from voxarium.model.transforms import Scale

CORNERS = Holds(dtypes=frozenset({"uint8"}), ndim=(3, 3), translation="voxels")


@pytest.fixture
def em(tmp_path):
    """An OME-Zarr image of odd lengths, its first centre at the origin."""
    np.save(tmp_path / "em.npy", np.random.default_rng(0).integers(0, 255, (13, 22, 31)).astype("u1"))
    path = tmp_path / "em.ome.zarr"
    voxarium.convert(
        tmp_path / "em.npy", path, axes="zyx", voxel_size=(40, 8, 8), unit="nm", levels=2, chunk=8, name="slab 7"
    )
    return path


def to_precomputed(em, target, **more):
    return voxarium.convert(em, target, format="precomputed", levels=2, chunk=8, shard=16, **more)


def test_nothing_is_written_until_losses_are_accepted(em, tmp_path):
    with pytest.raises(UnsupportedError, match=r"position of level 8_8_40.*z \+0\.5.*'slab 7'") as caught:
        to_precomputed(em, tmp_path / "p")
    assert caught.value.code == Code.LOSS_DECLARED
    assert "--translation 20,4,4" in caught.value.fix
    assert "--accept-loss translation,name" in caught.value.fix
    assert not (tmp_path / "p").exists()
    with pytest.raises(UnsupportedError, match="position"):
        to_precomputed(em, tmp_path / "p", accept="name")
    to_precomputed(em, tmp_path / "p", accept=["name", "translation"])
    moved = voxarium.open(tmp_path / "p")
    assert moved.scale_translation(0) == ((40, 8, 8), (20, 4, 4))
    assert (moved[...] == voxarium.open(em)[...]).all()


def test_the_mend_of_the_message_mends(em, tmp_path):
    to_precomputed(em, tmp_path / "p", translation=(20, 4, 4), accept="name")
    assert voxarium.open(tmp_path / "p").scale_translation(1) == ((40, 16, 16), (20, 8, 8))
    # A source that says nothing about its place has none to lose: its corner goes to the origin.
    assert not plan(
        voxarium.open(tmp_path / "em.npy"),
        ConvertOptions(format="precomputed", axes=tuple("zyx"), voxel_size=(8,), unit="nm"),
    ).losses


def test_a_dry_run_lists_losses(em, tmp_path):
    run = CliRunner().invoke(app, ["convert", str(em), str(tmp_path / "p"), "--format", "precomputed", "--dry-run"])
    assert run.exit_code == 0 and "(translation)" in run.stdout and "(name)" in run.stdout
    command = ["convert", str(em), str(tmp_path / "p"), "--format", "precomputed", "--dry-run", "--json"]
    losses = json.loads(CliRunner().invoke(app, command).stdout)["losses"]
    assert [loss["kind"] for loss in losses] == ["translation", "name"]


def test_losses_that_mean_nothing_are_told(em, tmp_path):
    with pytest.raises(InputError, match="no loss is called nmae"):
        to_precomputed(em, tmp_path / "p", accept="nmae")


def changed(image: Image, **changes) -> Image:
    return Image(image.store, image.path, replace(image.info, **changes), image.arrays)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("windows", {"display": Display(channels=(ChannelDisplay(window=(0, 9)),))}),
        ("colors", {"display": Display(channels=(ChannelDisplay(color="ff0000"),))}),
        ("label_colors", {"display": Display(label_colors=(LabelColor(label=1, rgba=(1, 2, 3, 4)),))}),
        ("label_properties", {"display": Display(label_properties=({"label-value": 1},))}),
        ("value", {"value": Value(slope=2.0, unit="kelvin")}),
        ("role", {"role": "prediction"}),
        ("transforms", {"edges": (TransformEdge(source="physical", target="atlas", transform=Scale((1, 2, 3))),)}),
    ],
)
def test_every_kind_is_found(em, kind, changes):
    image = changed(voxarium.open(em), name="", **changes)
    choices = ConvertOptions(format="precomputed", translation=(20, 4, 4))
    assert [loss.kind for loss in plan(image, choices).losses] == [kind]


def test_ome_zarr_declares_what_it_drops(em):
    image = changed(voxarium.open(em), value=Value(slope=0.5), bag=Bag(extra={"lab": 3}))
    assert [loss.kind for loss in plan(image, ConvertOptions()).losses] == ["value"]


def test_types_that_do_not_fit_name_one_that_does():
    with pytest.raises(UnsupportedError) as caught:
        check_dtype(np.dtype("u1"), Holds(dtypes=frozenset({"int16", "float32", "uint16"}), ndim=(3, 3)), "some")
    assert "--dtype uint16" in caught.value.fix
    with pytest.raises(UnsupportedError) as caught:
        check_dtype(np.dtype("f8"), CORNERS, "some")
    assert "--lossy" in caught.value.fix


def test_units_are_converted_exactly():
    axes = (Axis(name="t", type="time", unit="second"), Axis(name="z", type="space", unit="micrometer"))
    holds = replace(CORNERS, units=frozenset({"nanometer"}))
    fitted, (scale, translation) = fitting_units(axes, ((2.0, 0.04), (0.0, 0.1)), holds)
    assert (scale, translation) == ((2.0, 40.0), (0.0, 100.0))
    assert [a.unit for a in fitted] == ["second", "nanometer"]


def test_positions_are_moved_to_the_nearest_voxel():
    space = tuple(Axis(name=n, type="space") for n in "yx")
    assert snapped(space, (10.0, 4.0), (5.0, 2.0), CORNERS) == (5.0, 2.0)
    assert snapped(space, (10.0, 4.0), (7.0, -3.0), CORNERS) == (5.0, -2.0)
    assert snapped(space[:1], (10.0,), (7.0,), replace(CORNERS, translation="none")) == (0.0,)
    assert snapped(space[:1], (10.0,), (7.0,), replace(CORNERS, translation="any")) == (7.0,)
    channel = (Axis(name="c", type="channel"), *space)
    assert snapped(channel, (1.0, 10.0, 4.0), (0.0, 7.0, -3.0), CORNERS) == (0.0, 5.0, -2.0)


@pytest.mark.parametrize("dtype", ["uint64", "int64"])
def test_floats_are_not_said_to_hold_every_64_bit_number(dtype):
    holds = Holds(dtypes=frozenset({"float64", "float32", "uint32", "uint8"}), ndim=(3, 3))
    with pytest.raises(UnsupportedError) as caught:
        check_dtype(np.dtype(dtype), holds, "some")
    assert "every value" not in caught.value.fix and "float" not in caught.value.fix
