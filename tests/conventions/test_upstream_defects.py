"""Defects of other readers and writers of these conventions, which this package must not share.

Each is seen only when no two axes agree in scale or translation, so none do here.
"""

from __future__ import annotations

import pytest

from voxarium.formats.cosem import CosemDriver
from voxarium.formats.n5.stated import stated_place
from voxarium.model.transforms import scale_translation

DRIVER = CosemDriver()
SCALE, SHIFT = {"z": 5.24, "y": 4.0, "x": 3.0}, {"z": 7.0, "y": -5.0, "x": 11.0}


def stated(names, **more):
    return {
        "axes": list(names),
        "scale": [SCALE[n] for n in names],
        "translate": [SHIFT[n] for n in names],
        "units": ["nm"] * len(names),
    } | more


def by_name(axes, transform):
    scale, shift = scale_translation(transform, len(axes))
    return {a.name: (s, t) for a, s, t in zip(axes, scale, shift, strict=True)}


EXPECTED = {n: (SCALE[n], SHIFT[n]) for n in "zyx"}


@pytest.mark.parametrize(
    ("names", "more"),
    [("zyx", {}), ("zyx", {"order": "C"}), ("xyz", {"order": "F"}), ("xyz", {"ordering": "F"})],
)
def test_names_scales_and_translations_are_reversed_together(world, names, more):
    """fibsem-tools 7.0.5 reverses the names of F order and not the numbers: z gets the scale of x."""
    world.array("em/s0", (7, 20, 31), transform=stated(names, **more))
    image = world.open(DRIVER, "em")
    assert by_name(image.axes, image.levels[0].transform) == EXPECTED
    # In both orders the last axis of N5's dimensions is z: the shape follows.
    assert [a.name for a in image.axes] == ["z", "y", "x"] and image.levels[0].array.shape == (7, 20, 31)


def test_x_never_gets_the_scale_of_z(world):
    """n5-universe's toAffineTransform3d looks up scales of F order by positions of C order."""
    axes, transform, _ = stated_place({"dimensions": [31, 20, 7], "dataType": "uint8", "transform": stated("zyx")}, 3)
    assert by_name(axes, transform)["x"] == (3.0, 11.0)


@pytest.mark.parametrize("key", ["order", "ordering"])
def test_both_names_of_the_order_are_understood(world, key):
    """cellmap-schemas writes `order`, n5-universe reads `ordering`: each takes the other's F order for C order."""
    world.array("em/s0", (7, 20, 31), transform=stated("xyz", **{key: "F"}))
    assert [a.name for a in world.open(DRIVER, "em").axes] == ["z", "y", "x"]


def test_factors_are_rounded(world, make_image):
    """0.6 // 0.2 is 2 and 1.2 // 0.4 too: cellmap-schemas writes a factor of 2 for windows of 3."""
    image = make_image("cosem", size=(0.2, 0.4, 0.1), factors=((1, 1, 1), (3, 3, 3), (9, 9, 9)))
    world.write(DRIVER, "em", image)
    assert world.get("em")["scales"] == [[1, 1, 1], [3, 3, 3], [9, 9, 9]]
    assert world.open(DRIVER, "em").bag.records[0].notes == ()


def test_every_level_has_a_scale_and_position_of_its_own(world, make_image):
    """cellmap-data's create_multiscale_metadata gives s1 those of s0."""
    world.write(DRIVER, "em", make_image("cosem"))
    transforms = [d["transform"] for d in world.get("em")["multiscales"][0]["datasets"]]
    assert [t["scale"] for t in transforms] == [[40.0, 5.24, 4.0], [40.0, 10.48, 8.0], [80.0, 20.96, 16.0]]
    assert len({tuple(t["translate"]) for t in transforms}) == 3
    assert [world.get(f"em/s{i}")["transform"] for i in range(3)] == transforms
