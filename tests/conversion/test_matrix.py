"""Every writable format into every other: voxels and world coordinates stay, losses are exactly those declared.

Formats come from the registry, so a new driver is in the matrix the day it is registered.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import voxarium
from voxarium.conversion.running import open_source, plan_for
from voxarium.core.registry import array_driver, image_drivers
from voxarium.errors import UnsupportedError, VoxariumError
from voxarium.model.abilities import Holds

SIZE = (40.0, 8.0, 6.0)
OFFSET = (4, 8, 12)  # whole voxels of every level, so that formats that count voxels from corners can express it
TRANSLATION = tuple((o + 0.5) * s for o, s in zip(OFFSET, SIZE, strict=True))
FACTORS = (2, 2, 2)
# Where an image of a format lives, when not in a folder of its own.
PLACES = {
    "webknossos": "{}/color",
    "hdf5": "{}.h5",
    "bdv-hdf5": "{}.h5",
    "cremi": "{}.hdf",
    "cellmap-annotation": "{}.zarr/crop/mito",
    "ome-tiff": "{}.ome.tif",
}
IN_N5 = ("bdv", "cosem", "n5-canonical", "n5-viewer", "ome-n5", "paintera")
LABELS_ONLY = ("cellmap-annotation",)


@dataclass(frozen=True)
class Format:
    driver: Any
    version: str

    @property
    def name(self) -> str:
        return self.driver.name

    @property
    def holds(self) -> Holds:
        return self.driver.holds

    def place(self, folder: Path) -> str:
        pattern = "{}.n5/em/raw" if self.name in IN_N5 else PLACES.get(self.name, "{}")
        return str(folder / pattern.format(f"{self.name}-{self.version}"))

    @property
    def levels(self) -> int:
        """How many levels of the reference it can hold: some conventions shrink planes only."""
        return 3 if set("zyx") <= getattr(self.driver, "reducible", set("zyx")) else 1

    def choices(self, levels: int = 3) -> dict[str, Any]:
        levels = min(levels, self.levels)
        container = array_driver(self.driver.array_driver(self.version))
        shard = {"shard": 16} if "shards" in container.capabilities and container.name != "wkw" else {}
        return {
            "format": self.name, "spec_version": self.version, "levels": levels, "factors": FACTORS, "chunk": 8,
            "accept": "all", **shard,
        }  # fmt: skip


FORMATS = [Format(d, v) for d in image_drivers() if "write" in d.capabilities for v in d.spec_versions]
INTENSITY = [f for f in FORMATS if f.name not in LABELS_ONLY]


def named(formats: list[Format]) -> Any:
    return [pytest.param(f, id=f"{f.name}@{f.version}") for f in formats]


def write_reference(folder: Path, dtype: str, role: str = "intensity") -> str:
    """An OME-Zarr image of three levels, anisotropic, away from the origin, of odd lengths."""
    kind = np.dtype(dtype)
    data = np.random.default_rng(3).integers(1, 100, (13, 22, 31)).astype(kind)
    if kind.kind == "i" and role == "intensity":
        data -= 50
    if kind.kind == "u":
        data[0, 0, :3] = np.iinfo(kind).max
    np.save(folder / "data.npy", data)
    target = str(folder / "reference.ome.zarr")
    voxarium.convert(
        folder / "data.npy", target, axes="zyx", voxel_size=SIZE, unit="nanometer", translation=TRANSLATION, levels=3,
        factors=FACTORS, chunk=8, shard=16, name="slab 7", role=role,
    )  # fmt: skip
    return target


def assert_same(address: str, reference: str, format: Format) -> None:
    image, expected = voxarium.open(address), voxarium.open(reference)
    assert image.info.format == format.name
    assert [a.name for a in image.axes] == ["z", "y", "x"]
    assert image.unit == "nanometer"
    most = format.holds.most_levels or len(expected.levels)
    assert len(image.levels) == min(len(expected.levels), format.levels, most)
    for level in range(len(image.levels)):
        assert image.level(level).dtype == expected.level(level).dtype
        assert np.array_equal(image.read(level=level), expected.read(level=level))
        for found, wanted in zip(image.scale_translation(level), expected.scale_translation(level), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-9)


@pytest.mark.parametrize("format", named(INTENSITY))
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32"])
def test_every_type_is_kept_or_refused(tmp_path, format, dtype):
    reference = write_reference(tmp_path, dtype)
    target = format.place(tmp_path)
    if dtype not in format.holds.dtypes:
        with pytest.raises(UnsupportedError, match=dtype) as caught:
            voxarium.convert(reference, target, **format.choices())
        assert "--dtype" in caught.value.fix
        return
    voxarium.convert(reference, target, **format.choices())
    assert_same(target, reference, format)


@pytest.mark.parametrize("role", ["intensity", "label"])
@pytest.mark.parametrize("source", named(FORMATS))
def test_every_format_into_every_other(tmp_path, source, role):
    if role == "intensity" and source.name in LABELS_ONLY:
        pytest.skip("holds labels only")
    reference = write_reference(tmp_path, "uint16" if role == "intensity" else "uint32", role)
    (tmp_path / "first").mkdir()
    address = source.place(tmp_path / "first")
    voxarium.convert(reference, address, role=role, **source.choices())
    assert_same(address, reference, source)
    if role == "label":
        assert (voxarium.open(address).role == "label") == ("label" in source.holds.roles)
    for target in FORMATS if role == "label" else INTENSITY:
        there = target.place(tmp_path / "second")
        voxarium.convert(address, there, role=role, **target.choices())
        assert_same(there, reference, target)


@pytest.mark.parametrize("format", named(INTENSITY))
def test_losses_are_exactly_those_declared(tmp_path, format):
    reference = write_reference(tmp_path, "uint8")
    target = format.place(tmp_path)
    choices = format.choices()
    losses = [loss.kind for loss in plan_for(open_source(reference), target, choices).losses]
    assert losses == ([] if format.holds.name else ["name"])
    if losses:
        with pytest.raises(VoxariumError, match="slab 7"):
            voxarium.convert(reference, target, **choices | {"accept": ()})
    voxarium.convert(reference, target, **choices)
    if format.holds.name:
        assert voxarium.open(target).name == "slab 7"


@pytest.mark.parametrize("format", named(INTENSITY))
def test_a_position_between_voxels_is_kept_or_declared(tmp_path, format):
    reference = write_reference(tmp_path, "uint8")
    moved = {"translation": (171.0, 70.0, 69.0), "levels": 1}
    target = format.place(tmp_path)
    kinds = [loss.kind for loss in plan_for(open_source(reference), target, format.choices(1) | moved).losses]
    assert ("translation" in kinds) == (format.holds.translation != "any")
    voxarium.convert(reference, target, **format.choices(1) | moved)
    found = voxarium.open(target).scale_translation()[1]
    if format.holds.translation == "any":
        np.testing.assert_allclose(found, moved["translation"], rtol=1e-9)
    else:
        assert np.abs((np.array(found) - moved["translation"]) / SIZE).max() <= 0.5


@pytest.mark.parametrize("format", named(INTENSITY))
@pytest.mark.parametrize("axes", ["yx", "czyx", "tczyx"])
def test_fewer_and_more_axes_are_kept_or_refused(tmp_path, format, axes):
    shape = {"y": 22, "x": 31, "z": 13, "c": 3, "t": 2}
    data = np.random.default_rng(5).integers(1, 99, [shape[a] for a in axes]).astype("u1")
    np.save(tmp_path / "data.npy", data)
    size = SIZE[-2:] if axes == "yx" else SIZE
    target = format.place(tmp_path)
    choices = format.choices(1) | {"axes": axes, "voxel_size": size, "unit": "nanometer"}
    choices |= {"translation": tuple(s / 2 for s in size), "chunk": 8}
    try:
        voxarium.convert(tmp_path / "data.npy", target, **choices)
    except VoxariumError:
        assert not Path(target).exists()
        return
    image = voxarium.open(target)
    order = [axes.index(a.name) for a in image.axes]
    assert np.array_equal(image[...], data.transpose(order))


def test_a_file_that_was_killed_while_it_was_put_together_resumes(tmp_path, monkeypatch):
    from voxarium.conversion import finishing

    reference, target = write_reference(tmp_path, "uint8"), tmp_path / "em.h5"
    choices = {"format": "hdf5", "levels": 3, "chunk": 8}
    voxarium.convert(reference, tmp_path / "whole.h5", **choices)
    with monkeypatch.context() as patch:
        patch.setattr(finishing, "package", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            voxarium.convert(reference, target, **choices)
    assert not target.exists() and (tmp_path / ".em.h5.parts").is_dir()
    voxarium.convert(reference, target, resume=True, **choices)
    assert target.read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert not (tmp_path / ".em.h5.parts").exists()
    with pytest.raises(VoxariumError, match="exists"):
        voxarium.convert(reference, target, **choices)
    with pytest.raises(VoxariumError, match="inside each other"):
        voxarium.convert(target, target, overwrite=True, **choices)
    voxarium.convert(reference, target, overwrite=True, **choices | {"levels": 1})
    assert len(voxarium.open(target).levels) == 1
