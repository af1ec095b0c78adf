"""KNOSSOS datasets, made here after the layout that KNOSSOS and knossos_utils read and write."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.codecs.snappy import decode_snappy
from voxarium.core.dataset import Dataset
from voxarium.errors import Code, FormatError, InputError, NotFoundError, UnsupportedError, VoxariumError
from voxarium.formats.knossos import KnossosArrayDriver, KnossosDriver
from voxarium.spec import knossos as spec
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore

EXTENT = (40, 150, 200)  # z y x
CUBE = (32, 64, 128)

OLD = """experiment name "em_mag{mag}";
boundary x 200;
boundary y 150;
boundary z 40;
scale x 10.0;
scale y 10.5;
scale z 30.0;
magnification {mag};
"""
PYK = """[Dataset]
_BaseURL = https://user:secret@knossos.example.org/em
_UserName = user
_Password = secret
_BaseName = em
_DataScale = 10.0,10.5,30.0, 20.0,21.0,30.0, 40.0,42.0,60.0,
_CubeSize = 128,64,32
_Extent = 200,150,40
_Description = a description
_BaseExt = .raw
_Color = #00ff80

[Dataset]
_BaseName = em
_DataScale = 10.0,10.5,30.0,
_CubeSize = 128,64,32
_Extent = 200,150,40
_BaseExt = .seg.sz.zip
"""
TOML = """[[Layer]]
URL = 'https://user:secret@knossos.example.org/em?token=secret'
Name = 'em'
FileExtension = ['.raw']
Extent_px = [200, 150, 40]
VoxelSize_nm = [[10.0, 10.5, 30.0], [20.0, 21.0, 30.0], [40.0, 42.0, 60.0]]
CubeShape_px = [128, 64, 32]
Description = 'text'
Color = '#00ff80'
Visible = true

[[Layer]]
Name = 'cells'
FileExtension = ['.seg.sz.zip']
Extent_px = [200, 150, 40]
VoxelSize_nm = [[10.0, 10.5, 30.0]]
CubeShape_px = [128, 64, 32]
"""

ONE = TOML.partition("\n\n[[")[0]


def literal(data: bytes) -> bytes:
    """Return a snappy block of literals only."""
    size, out = len(data), bytearray()
    while size >= 128:
        out.append(size & 127 | 128)
        size >>= 7
    out.append(size)
    for start in range(0, len(data), 60):
        piece = data[start : start + 60]
        out += bytes([(len(piece) - 1) << 2]) + piece
    return bytes(out)


def zipped(data: bytes, name="x.seg.sz") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


def png(cube: np.ndarray) -> bytes:
    image = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    buffer = io.BytesIO()
    image.fromarray(cube.reshape(-1, cube.shape[-1])).save(buffer, "png")
    return buffer.getvalue()


PACK = {
    ".raw": lambda cube: cube.tobytes(),
    ".seg.sz": lambda cube: literal(cube.tobytes()),
    ".seg.sz.zip": lambda cube: zipped(literal(cube.tobytes())),
    ".png": png,
}


def cubes(root: Path, data: np.ndarray, mag="mag1", prefix="em_mag1", ext=".raw", cube=CUBE, skip=()):
    """Write the cubes of one mag, padded with zeros; those in `skip` are left out."""
    counts = [-(-n // c) for n, c in zip(data.shape, cube, strict=True)]
    for z, y, x in np.ndindex(*counts):
        if (z, y, x) in skip:
            continue
        part = data[tuple(slice(i * c, (i + 1) * c) for i, c in zip((z, y, x), cube, strict=True))]
        padded = np.zeros(cube, data.dtype)
        padded[tuple(slice(n) for n in part.shape)] = part
        folder = root / mag / f"x{x:04}" / f"y{y:04}" / f"z{z:04}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{prefix}_x{x:04}_y{y:04}_z{z:04}{ext}").write_bytes(PACK[ext](padded))


def noise(shape=EXTENT, dtype="u1", seed=1):
    return np.random.default_rng(seed).integers(0, 250 if dtype == "u1" else 2**60, shape).astype(dtype)


def old_layout(root: Path, **options):
    whole = noise()
    data = {1: whole, 2: whole[::2, ::2, ::2], 4: whole[::4, ::4, ::4]}
    for mag, part in data.items():
        cubes(root, part, f"mag{mag}", f"em_mag{mag}", cube=(128, 128, 128), **options)
        (root / f"mag{mag}" / "knossos.conf").write_text(OLD.format(mag=mag))
    return data


def test_the_oldest_layout_has_ratios_as_mags(tmp_path):
    data = old_layout(tmp_path)
    image = voxarium.open(tmp_path)
    assert image.info.format == "knossos"
    assert image.unit == "nanometer"
    assert image.name == "em"
    for level, mag in enumerate((1, 2, 4)):
        assert image.info.levels[level].path == f"mag{mag}"
        np.testing.assert_array_equal(image.level(level)[...], data[mag])
        scale, translation = image.scale_translation(level)
        assert scale == (30.0 * mag, 10.5 * mag, 10.0 * mag)
        assert translation == tuple(s * (mag - 1) / 2 for s in (30.0, 10.5, 10.0))
    assert image.level(0).info.chunk_shape == (128, 128, 128)


def test_folders_of_mags_may_carry_the_name(tmp_path):
    data = noise()
    cubes(tmp_path, data, "e1_mag1", "e1_mag1", cube=(128, 128, 128))
    (tmp_path / "e1_mag1" / "knossos.conf").write_text(OLD.format(mag=1))
    np.testing.assert_array_equal(voxarium.open(tmp_path)[...], data)


def test_a_configuration_at_the_top_of_the_folder(tmp_path):
    data = noise()
    cubes(tmp_path, data, cube=(128, 128, 128))
    (tmp_path / "knossos.conf").write_text(OLD.format(mag=1))
    np.testing.assert_array_equal(voxarium.open(tmp_path)[...], data)
    np.testing.assert_array_equal(voxarium.open(tmp_path / "knossos.conf")[...], data)


@pytest.mark.parametrize(("name", "text"), [("em.pyk.conf", PYK), ("em.k.toml", TOML)])
def test_later_layouts_count_mags_and_have_layers(tmp_path, name, text):
    data, labels = noise(), noise(dtype="u8", seed=2)
    half = data[:, ::2, ::2]
    cubes(tmp_path, data)
    cubes(tmp_path, half, "mag2", "em_mag2")
    layer = "cells" if name.endswith("toml") else "em"
    cubes(tmp_path, labels, prefix="em_mag1", ext=".seg.sz.zip")
    (tmp_path / name).write_text(text)
    image = voxarium.open(tmp_path)
    assert [lvl.shape for lvl in (image.level(0), image.level(1))] == [EXTENT, (40, 75, 100)]
    assert image.voxel_size(1) == (30, 21, 20)
    assert image.scale_translation(1)[1] == (0, 5.25, 5)
    np.testing.assert_array_equal(image[...], data)
    np.testing.assert_array_equal(image.level(1)[...], half)
    assert image.info.display.channels[0].color == "00FF80"
    seg = voxarium.open(f"{tmp_path}/{name}::{'cells' if layer == 'cells' else 'seg'}")
    assert seg.role == "label"
    assert seg.dtype == np.uint64
    np.testing.assert_array_equal(seg[...], labels)
    np.testing.assert_array_equal(voxarium.open(f"{tmp_path}::seg")[...], labels)
    with pytest.raises(InputError, match="no layer") as caught:
        voxarium.open(f"{tmp_path}/{name}::nothing")
    assert layer in caught.value.fix


def test_several_layers_of_images_are_a_dataset(tmp_path):
    data, other = noise(), noise(seed=5)
    cubes(tmp_path, data)
    cubes(tmp_path, other, prefix="lm_mag1")
    (tmp_path / "em.k.toml").write_text("\n\n".join((ONE, ONE.replace("'em'", "'lm'"))))
    for address in (tmp_path, tmp_path / "em.k.toml"):
        dataset = voxarium.open(address)
        assert isinstance(dataset, Dataset) and [m.name for m in dataset.members] == ["em", "lm"]
        np.testing.assert_array_equal(dataset["em"][...], data)
    assert dataset["lm"].name == "lm"


def test_no_secret_of_a_configuration_is_carried_along(tmp_path):
    for name, text in (("a.pyk.conf", PYK), ("a.k.toml", TOML)):
        for layer in spec.parse_conf(text.encode(), name):
            shown = json.dumps([layer.metadata, layer.notes])
            assert "secret" not in shown
            assert "user" not in shown.lower()
    old = OLD.format(mag=1) + "ftp_mode knossos.example.org /em user secret 1000;\n"
    (layer,) = spec.parse_conf(old.encode(), "knossos.conf")
    assert "secret" not in json.dumps(layer.metadata)


@pytest.mark.parametrize("ext", [".raw", ".png", ".seg.sz", ".seg.sz.zip"])
def test_every_kind_of_cube_and_cubes_never_written(tmp_path, ext):
    data = noise(dtype="u8" if "seg" in ext else "u1")
    data[:32, 64:128, :128] = 0
    cubes(tmp_path, data, ext=ext, skip={(0, 1, 0)})
    toml = ONE.replace(".raw", ext)
    (tmp_path / "em.k.toml").write_text(toml)
    image = voxarium.open(tmp_path)
    np.testing.assert_array_equal(image[...], data)
    np.testing.assert_array_equal(image[5:33, 60:70, 100:180], data[5:33, 60:70, 100:180])
    assert image.role == ("label" if "seg" in ext else "intensity")


def test_overlays_beside_the_images_are_found(tmp_path):
    old_layout(tmp_path)
    labels = noise(dtype="u8", seed=5)
    cubes(tmp_path, labels, ext=".seg.sz.zip", cube=(128, 128, 128))
    image = voxarium.open(tmp_path)
    assert any("em.seg.sz.zip" in note for note in image.info.bag.records[0].notes)
    np.testing.assert_array_equal(voxarium.open(f"{tmp_path}::seg")[...], labels)


def test_it_is_converted(tmp_path):
    (tmp_path / "in").mkdir()
    data = old_layout(tmp_path / "in")
    voxarium.convert(tmp_path / "in", tmp_path / "em.ome.zarr", levels=2)
    image = voxarium.open(tmp_path / "em.ome.zarr")
    np.testing.assert_array_equal(image[...], data[1])
    assert image.voxel_size() == (30, 10.5, 10)


def test_a_store_that_cannot_list(tmp_path):
    data = noise()
    cubes(tmp_path, data, cube=(128, 128, 128))

    class Plain:
        uri = "https://example.org/em"
        concurrency = 8

        def get(self, key, /):
            path = tmp_path / key
            return path.read_bytes() if path.is_file() else None

        def get_ranges(self, key, ranges, /):
            raw = self.get(key)
            return None if raw is None else [raw[r.start : r.start + r.length] for r in ranges]

        def stat(self, key, /):
            return LocalStore(tmp_path).stat(key)

    (tmp_path / "mag1" / "knossos.conf").write_text(OLD.format(mag=1))
    info = KnossosArrayDriver().open(Plain(), "mag1")
    assert info.shape == EXTENT
    from voxarium.core.opening import open_image

    np.testing.assert_array_equal(open_image(Plain(), "")[...], data)


class _Far(MemoryStore):
    """A store in a network that counts its listings."""

    concurrency = 8
    folders = 0

    def list_dir(self, prefix="", /):
        self.folders += 1
        return super().list_dir(prefix)


def test_folders_of_other_formats_far_away_are_not_listed(tmp_path):
    store = _Far()
    store.put("em/.zarray", b"{}")
    store.put("em/0.0.0", b"")
    with pytest.raises(NotFoundError):
        KnossosDriver().open(store, "em", lambda key: None)
    assert not store.folders


def test_a_store_far_away(tmp_path):
    from voxarium.core.opening import open_image

    data = noise()
    cubes(tmp_path, data)
    (tmp_path / "em.k.toml").write_text(ONE)
    store = _Far()
    for path in tmp_path.rglob("*.*"):
        store.put(f"data/{path.relative_to(tmp_path)}", path.read_bytes())
    np.testing.assert_array_equal(open_image(store, "data")[...], data)


# -------------------------------------------------------------------------------------------------------- refusals
@pytest.mark.parametrize("payload", [b"", b"short", bytes(200_000), bytes(10**7)])
@pytest.mark.parametrize("ext", [".raw", ".png", ".seg.sz", ".seg.sz.zip"])
def test_damaged_cubes_are_errors_that_name_the_chunk(tmp_path, payload, ext):
    cubes(tmp_path, noise(dtype="u8" if "seg" in ext else "u1"), ext=ext)
    (tmp_path / "em.k.toml").write_text(ONE.replace(".raw", ext))
    broken = next((tmp_path / "mag1" / "x0001" / "y0000" / "z0000").iterdir())
    broken.write_bytes(payload)
    image = voxarium.open(tmp_path)
    assert image[:, :, :128].any()
    with pytest.raises(FormatError):
        image[...]


def test_archives_that_expand_without_end_are_refused(tmp_path):
    (tmp_path / "em.k.toml").write_text(ONE.replace(".raw", ".seg.sz.zip"))
    cubes(tmp_path, noise(dtype="u8"), ext=".seg.sz.zip")
    broken = next((tmp_path / "mag1" / "x0000" / "y0000" / "z0000").iterdir())
    broken.write_bytes(zipped(bytes(50_000_000)))
    with pytest.raises(FormatError, match="implausible"):
        voxarium.open(tmp_path)[:1, :1, :1]


def test_layers_of_precomputed_volumes_are_named_as_such(tmp_path):
    (tmp_path / "em.k.toml").write_text("[[Layer]]\nName='em'\nServerFormat='precomputed'\nURL='https://h/em/info'\n")
    with pytest.raises(UnsupportedError, match="precomputed"):
        voxarium.open(tmp_path)


@pytest.mark.parametrize("name", ["../../etc/x", "a/../b", "a\\b", "a\nb"])
def test_names_cannot_lead_out_of_the_folder(tmp_path, name):
    text = ONE.replace("'em'", json.dumps(name))
    (tmp_path / "mag1").mkdir()
    (tmp_path / "em.k.toml").write_text(text)
    with pytest.raises(VoxariumError) as caught:
        voxarium.open(tmp_path)
    assert caught.value.code == Code.KEY_UNSAFE


def test_cubes_of_an_unknown_kind_are_refused(tmp_path):
    cubes(tmp_path, noise())
    (tmp_path / "em.k.toml").write_text(ONE.replace(".raw", ".6.jp2"))
    with pytest.raises(UnsupportedError, match=r"6\.jp2"):
        voxarium.open(tmp_path)


def test_a_dataset_without_cubes_says_so(tmp_path):
    (tmp_path / "em.k.toml").write_text(TOML)
    with pytest.raises(FormatError, match="mag1"):
        voxarium.open(tmp_path)


@pytest.mark.parametrize("path", ["", "mag1", "x/mag1", "a.conf", "knossos.conf"])
def test_declines_what_is_not_there(path):
    store = MemoryStore()
    store.put("a.conf", b"nothing of ours")
    with pytest.raises(NotFoundError):
        KnossosArrayDriver().open(store, path)
    with pytest.raises(NotFoundError):
        KnossosDriver().open(store, path, lambda key: None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[[Layer",
        "Layer = 3",
        "[[Layer]]",
        "[[Layer]]\nExtent_px=[1e300,1,1]\nVoxelSize_nm=[[1,1,1]]\n",
        "[[Layer]]\nExtent_px=[10,10,10]\nVoxelSize_nm=[[1,1,nan]]\n",
        "[[Layer]]\nExtent_px=[10,10,10]\nVoxelSize_nm=[[1,1,1]]\nCubeShape_px=[99999,9,9]\n",
        "[[Layer]]\nExtent_px=[10,10,10]\nVoxelSize_nm=[[1,1,1]]\nName=3\n",
        "[[Layer]]\nExtent_px=[10,10,10]\nVoxelSize_nm=[[1,1,1]]\nDataType='float128'\n",
        "x = " + "[" * 3000,
    ],
)
def test_broken_toml_is_a_format_error(text):
    with pytest.raises(FormatError, match=r"a\.k\.toml"):
        spec.parse_conf(text.encode(), "a.k.toml")


numbers = st.sampled_from(["1", "200", "-1", "0", "nan", "1e999", "4611686018427387904", "x", "1,2", "10.5,1,1", ""])
lines = st.tuples(st.sampled_from(["boundary x", "boundary y", "boundary z", "scale x", "scale y", "scale z"]), numbers)


@given(st.lists(lines.map(lambda t: f"{t[0]} {t[1]};")), st.text(max_size=40))
def test_any_old_configuration_gives_a_layer_or_a_format_error(parts, junk):
    with contextlib.suppress(FormatError):
        (layer,) = spec.parse_conf("\n".join([*parts, junk]).encode(), "knossos.conf")
        assert all(level.shape for level in spec.levels(layer, [1, 2, 10**6]))


keys = st.sampled_from(["_DataScale", "_Extent", "_CubeSize", "_BaseName", "_BaseExt", "_NumberofCubes", "_FileType"])


@given(st.lists(st.tuples(keys, numbers | st.text(max_size=9)).map(lambda t: f"{t[0]} = {t[1]}")))
def test_any_pyknossos_configuration_gives_layers_or_our_errors(parts):
    with contextlib.suppress(FormatError, UnsupportedError):
        for layer in spec.parse_conf("\n".join(["[Dataset]", *parts]).encode(), "a.pyk.conf"):
            assert all(level.shape for level in spec.levels(layer, [1, 2]))


@given(st.binary(max_size=300), st.sampled_from(["a.k.toml", "a.pyk.conf", "knossos.conf"]))
def test_any_bytes_give_layers_or_our_errors(raw, name):
    with contextlib.suppress(FormatError, UnsupportedError):
        spec.parse_conf(raw, name)


# ---------------------------------------------------------------------------------------------------------- snappy
@settings(deadline=None)
@given(st.binary(max_size=60), st.integers(0, 300))
def test_any_snappy_block_gives_bytes_or_a_format_error(payload, nbytes):
    with contextlib.suppress(FormatError):
        assert decode_snappy(payload, nbytes).nbytes == nbytes


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_snappy_of_literals(data):
    assert bytes(decode_snappy(literal(data), len(data))) == data


@settings(deadline=None)
@given(st.lists(st.tuples(st.binary(min_size=1, max_size=9), st.integers(1, 99)), max_size=20))
def test_snappy_blocks_of_another_writer(runs):
    imagecodecs = pytest.importorskip("imagecodecs", reason="imagecodecs is not installed")
    data = b"".join(piece * count for piece, count in runs)
    if data:
        assert bytes(decode_snappy(imagecodecs.snappy_encode(data), len(data))) == data


def test_voxel_sizes_too_small_to_divide_are_refused():
    with pytest.raises(FormatError):
        spec.parse_conf(OLD.format(mag=1).replace("10.5", "1e-320").encode(), "knossos.conf")
