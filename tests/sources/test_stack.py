"""Stacks of images: slices in folders, pages in files, and everything that can be wrong with them."""

from __future__ import annotations

import contextlib
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from voxarium.errors import Code, FormatError, InputError, NotFoundError, UnsupportedError, VoxariumError
from voxarium.formats.stack import StackDriver
from voxarium.model.box import Box
from voxarium.stores.memory import MemoryStore

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
DRIVER = StackDriver()


def volume(dtype, shape=(5, 37, 43)):
    n = int(np.prod(shape))
    return (np.arange(n) * 7919 % 65521).reshape(shape).astype(dtype)


def save_slices(folder: Path, data, suffix=".png", pattern="slice_{}", **options):
    folder.mkdir(exist_ok=True)
    for i, plane in enumerate(data):
        name = folder / (pattern.format(i) + suffix)
        if suffix.startswith(".tif"):
            tifffile.imwrite(name, plane, **options)
        else:
            Image.fromarray(plane).save(name, **options)


def open_one_array(store, path):
    from voxarium.core.opening import open_array

    return open_array(store, path)


def open_and_read(store, path):
    info = DRIVER.open(store, path)
    return DRIVER.read_chunk(store, path, info, Box.whole(info.shape))


# ------------------------------------------------------------------------------------------------- folders
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_png_slices_are_exact(tmp_path, reads_like, dtype):
    save_slices(tmp_path / "s", volume(dtype))
    info = reads_like(DRIVER, "s", volume(dtype))
    assert info.chunk_shape == (1, 37, 43)
    assert info.axes is None
    assert info.transform is None


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "i4", "f4", "f8", ">u2", ">f4"])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (16, 32)}, {"rowsperstrip": 5}])
def test_tiff_slices_of_every_type_and_layout(tmp_path, reads_like, dtype, options):
    order = {"byteorder": ">"} if dtype.startswith(">") else {}
    save_slices(tmp_path / "s", volume(dtype), ".tif", **options, **order)
    reads_like(DRIVER, "s", volume(dtype))


@pytest.mark.parametrize("options", [{}, {"compression": "lzw", "predictor": True}, {"planarconfig": "separate"}])
def test_colour_tiff_slices(tmp_path, reads_like, options):
    data = volume("u1", (4, 31, 29, 3))
    planes = np.moveaxis(data, -1, 1) if "planarconfig" in options else data
    save_slices(tmp_path / "s", planes, ".tiff", photometric="rgb", **options)
    info = reads_like(DRIVER, "s", data)
    assert [a.name for a in info.axes] == ["z", "y", "x", "c"]
    assert info.axes[3].type == "channel"


@pytest.mark.parametrize("channels", [3, 4])
def test_colour_png_slices(tmp_path, reads_like, channels):
    data = volume("u1", (3, 21, 19, channels))
    save_slices(tmp_path / "s", data)
    reads_like(DRIVER, "s", data)


def test_sixteen_bit_colour_png_is_exact_or_refused(tmp_path, store, reads_like, monkeypatch):
    imagecodecs = pytest.importorskip("imagecodecs")
    data = volume("u2", (2, 11, 13, 3))
    (tmp_path / "s").mkdir()
    for i, plane in enumerate(data):
        (tmp_path / "s" / f"{i}.png").write_bytes(imagecodecs.png_encode(plane))
    reads_like(DRIVER, "s", data)
    monkeypatch.setitem(__import__("sys").modules, "imagecodecs", None)
    info = DRIVER.open(store, "s")
    with pytest.raises(UnsupportedError) as caught:
        DRIVER.read_chunk(store, "s", info, Box.whole((1, 11, 13, 3)))
    assert caught.value.code == Code.EXTRA_NOT_INSTALLED


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_png_through_pillow(tmp_path, reads_like, monkeypatch, dtype):
    save_slices(tmp_path / "s", volume(dtype))
    monkeypatch.setitem(__import__("sys").modules, "imagecodecs", None)
    reads_like(DRIVER, "s", volume(dtype))


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_slices_read_as_pillow_reads_them(tmp_path, reads_like, mode):
    data = volume("u1", (3, 40, 24) if mode == "L" else (3, 40, 24, 3))
    save_slices(tmp_path / "s", data, ".jpg", quality=90)
    expected = np.stack([np.asarray(Image.open(tmp_path / "s" / f"slice_{i}.jpg")) for i in range(3)])
    reads_like(DRIVER, "s", expected)


@pytest.mark.parametrize("suffix", [".bmp", ".webp"])
def test_other_formats_read_as_pillow_reads_them(tmp_path, reads_like, suffix):
    save_slices(tmp_path / "s", volume("u1", (3, 20, 24, 3)), suffix)
    expected = np.stack([np.asarray(Image.open(tmp_path / "s" / f"slice_{i}{suffix}")) for i in range(3)])
    reads_like(DRIVER, "s", expected)


def test_slices_come_in_natural_order(tmp_path, reads_like):
    data = volume("u1", (12, 6, 7))
    save_slices(tmp_path / "s", data, pattern="slice_{}")
    info = reads_like(DRIVER, "s", data)
    assert info.attributes["source_files"] == {"first": "slice_0.png", "last": "slice_11.png", "count": 12}


def test_numbers_left_out_are_recorded(tmp_path, store):
    save_slices(tmp_path / "s", volume("u1", (7, 6, 8)), pattern="z{:04d}_c1")
    (tmp_path / "s" / "z0003_c1.png").unlink()
    assert DRIVER.open(store, "s").attributes["source_files"]["missing_numbers"] == [3]


def test_store_root_glob_and_capital_suffix(tmp_path, reads_like):
    data = volume("u1", (3, 6, 7))
    save_slices(tmp_path, data, ".PNG", pattern="a{}")
    save_slices(tmp_path, data[:, ::-1], ".PNG", pattern="b{}")
    reads_like(DRIVER, "a*.PNG", data)
    reads_like(DRIVER, "b[0-1].PNG", data[:2, ::-1])
    reads_like(DRIVER, "", np.concatenate([data, data[:, ::-1]]))


def test_other_files_in_the_folder_are_ignored(tmp_path, reads_like):
    save_slices(tmp_path / "s", volume("u1"))
    for name in ("Thumbs.db", "notes.txt", ".hidden.png", ".DS_Store", "~lock.png", "meta.json"):
        (tmp_path / "s" / name).write_bytes(b"junk")
    (tmp_path / "s" / "below").mkdir()
    reads_like(DRIVER, "s", volume("u1"))


def test_mixed_formats_name_counts_and_a_glob(tmp_path, store):
    save_slices(tmp_path / "s", volume("u1"))
    save_slices(tmp_path / "s", volume("u1")[:2], ".tif")
    with pytest.raises(InputError) as caught:
        DRIVER.open(store, "s")
    assert caught.value.code == Code.SLICE_MISMATCH
    assert "5 x .png, 2 x .tif" in caught.value.message
    assert "*.png" in caught.value.fix


def test_slice_of_another_size_is_named(tmp_path, store):
    save_slices(tmp_path / "s", volume("u1"))
    Image.fromarray(volume("u1")[0, :-1]).save(tmp_path / "s" / "slice_3.png")
    with pytest.raises(InputError) as caught:
        DRIVER.open(store, "s")
    assert caught.value.code == Code.SLICE_MISMATCH
    assert "slice_3.png is 43 x 36 uint8" in caught.value.message
    assert "43 x 37 uint8" in caught.value.message


def test_slice_of_another_type_is_named(tmp_path, store):
    save_slices(tmp_path / "s", volume("u2"), ".tif")
    tifffile.imwrite(tmp_path / "s" / "slice_4.tif", volume("f4")[4])
    with pytest.raises(InputError, match=r"slice_4\.tif is 43 x 37 float32, .* uint16"):
        DRIVER.open(store, "s")


def test_slice_with_several_pages_is_named(tmp_path, store):
    save_slices(tmp_path / "s", volume("u2"), ".tif")
    tifffile.imwrite(tmp_path / "s" / "slice_4.tif", volume("u2")[:2], photometric="minisblack")
    with pytest.raises(InputError, match=r"slice_4\.tif holds several pages"):
        DRIVER.open(store, "s")


def test_slice_that_changes_after_opening_is_noticed(tmp_path, store):
    save_slices(tmp_path / "p", volume("u1"))
    save_slices(tmp_path / "t", volume("u1"), ".tif")
    for folder, suffix in (("p", ".png"), ("t", ".tif")):
        info = DRIVER.open(store, folder)
        save_slices(tmp_path / folder, volume("u1", (5, 36, 43)), suffix)
        with pytest.raises(VoxariumError) as caught:
            DRIVER.read_chunk(store, folder, info, Box((2, 0, 0), (1, 37, 43)))
        assert caught.value.code == Code.SLICE_MISMATCH
        (tmp_path / folder / f"slice_2{suffix}").unlink()
        with pytest.raises(NotFoundError, match="slice_2"):
            DRIVER.read_chunk(store, folder, info, Box((2, 0, 0), (1, 37, 43)))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_cut_off_slice_is_named(tmp_path, store, suffix):
    noise = np.random.default_rng(5).integers(0, 255, (4, 60, 70), np.uint8)
    save_slices(tmp_path / "s", noise, suffix)
    victim = tmp_path / "s" / f"slice_2{suffix}"
    victim.write_bytes(victim.read_bytes()[:-1500])
    with pytest.raises(FormatError, match=f"slice_2{suffix}") as caught:
        open_and_read(store, "s")
    assert caught.value.code == Code.FILE_TRUNCATED


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".bmp"])
@pytest.mark.parametrize("content", [b"", b"\0" * 3, b"no image at all, but text of some length"])
def test_junk_under_the_name_of_an_image_is_named(tmp_path, store, suffix, content):
    save_slices(tmp_path / "s", volume("u1"), suffix)
    (tmp_path / "s" / f"slice_2{suffix}").write_bytes(content)
    with pytest.raises(FormatError, match=f"slice_2{suffix}"):
        DRIVER.open(store, "s")
    with pytest.raises(FormatError, match=f"slice_2{suffix}"):
        open_one_array(store, f"s/slice_2{suffix}")


def test_palettes_and_few_bits_are_refused(tmp_path, store):
    (tmp_path / "s").mkdir()
    Image.fromarray(volume("u1")[0]).convert("P").save(tmp_path / "s" / "0.png")
    with pytest.raises(UnsupportedError, match="palette"):
        DRIVER.open(store, "s")
    Image.fromarray(np.eye(9, dtype=bool)).save(tmp_path / "s" / "0.png")
    with pytest.raises(UnsupportedError, match="1 bits"):
        DRIVER.open(store, "s")
    Image.fromarray(volume("u1", (9, 9, 4)), mode=None).convert("CMYK").save(tmp_path / "s" / "0.jpg")
    with pytest.raises(UnsupportedError, match="4 components"):
        DRIVER.open(store, "s/0.jpg")


def test_decompression_bomb_is_refused(tmp_path, store):
    import struct
    import zlib

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    ihdr = chunk(b"IHDR", struct.pack(">IIBBBBB", 200_000, 200_000, 8, 0, 0, 0, 0))
    raw = b"\x89PNG\r\n\x1a\n" + ihdr + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(raw)
    info = DRIVER.open(store, "bomb.png")
    with pytest.raises(FormatError) as caught:
        _slice_of(info, store, "bomb.png")
    assert caught.value.code == Code.SIZE_IMPLAUSIBLE


def _slice_of(info, store, path):
    return DRIVER.read_chunk(store, path, info, Box((0,) * info.ndim, (1,) * info.ndim))


def test_large_image_needs_no_global_limit(tmp_path, reads_like):
    plane = np.zeros((9500, 9500), np.uint8)  # beyond where Pillow warns
    plane[::97, ::89] = 3
    Image.fromarray(plane).save(tmp_path / "large.png", compress_level=1)
    Image.MAX_IMAGE_PIXELS, before = 1000, Image.MAX_IMAGE_PIXELS
    try:
        info = DRIVER.open(store_of(tmp_path), "large.png")
        out = np.empty((50, 60), np.uint8)
        DRIVER.read_region(store_of(tmp_path), "large.png", info, Box((9000, 9000), (50, 60)), out)
    finally:
        Image.MAX_IMAGE_PIXELS = before
    np.testing.assert_array_equal(out, plane[9000:9050, 9000:9060])


def store_of(folder):
    from voxarium.stores.local import LocalStore

    return LocalStore(folder)


def test_empty_folder(tmp_path, store):
    (tmp_path / "s").mkdir()
    with pytest.raises(NotFoundError) as caught:
        DRIVER.open(store, "s")
    assert caught.value.code == Code.FOLDER_EMPTY


def test_glob_that_matches_nothing_and_misplaced_wildcard(tmp_path, store):
    save_slices(tmp_path / "s", volume("u1"))
    with pytest.raises(NotFoundError) as caught:
        DRIVER.open(store, "s/*.tif")
    assert caught.value.code == Code.PATH_MISSING
    with pytest.raises(InputError):
        DRIVER.open(store, "s*/x.png")


@pytest.mark.parametrize("path", ["x.zarr", "texts", "file.txt", "a.h5::/x", "preview"])
def test_declines_what_is_no_stack(tmp_path, store, path):
    (tmp_path / "x.zarr" / "c").mkdir(parents=True)
    (tmp_path / "x.zarr" / "zarr.json").write_text("{}")
    (tmp_path / "x.zarr" / "preview.png").write_bytes(b"")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("hello")
    (tmp_path / "file.txt").write_text("hello")
    (tmp_path / "preview" / "em").mkdir(parents=True)
    (tmp_path / "preview" / "preview.png").write_bytes(b"")
    with pytest.raises(NotFoundError) as caught:
        DRIVER.open(store, path)
    assert caught.value.code == Code.METADATA_MISSING


# --------------------------------------------------------------------------------------------- single files
def test_single_images_keep_two_axes(tmp_path, reads_like):
    plane = volume("u1")[0]
    Image.fromarray(plane).save(tmp_path / "a.png")
    assert reads_like(DRIVER, "a.png", plane).transform is None


def test_tiff_files_are_left_to_their_driver(tmp_path, store):
    tifffile.imwrite(tmp_path / "a.tif", volume("u1"))
    with pytest.raises(NotFoundError) as caught:
        DRIVER.open(store, "a.tif")
    assert caught.value.code == Code.METADATA_MISSING


def test_packages_that_are_not_installed_are_named(tmp_path, store, monkeypatch):
    save_slices(tmp_path / "s", volume("u1"))
    info = DRIVER.open(store, "s")
    for name in ("imagecodecs", "PIL"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(UnsupportedError) as caught:
        DRIVER.read_chunk(store, "s", info, Box.whole((1, 37, 43)))
    assert caught.value.fix == "pip install 'voxarium[images]'"


# ------------------------------------------------------------------------------------------------- stores
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_any_store_that_lists_serves(suffix, tmp_path):
    data = volume("u2")
    save_slices(tmp_path / "s", data, suffix)
    store = MemoryStore()
    for file in (tmp_path / "s").iterdir():
        store.put(f"far/s/{file.name}", file.read_bytes())
    info = DRIVER.open(store, "far/s")
    box = Box((1, 3, 4), (3, 20, 21))
    np.testing.assert_array_equal(DRIVER.read_chunk(store, "far/s", info, box), data[box.slices])


def test_info_travels_to_another_process(tmp_path, store):
    save_slices(tmp_path / "s", volume("u2"))
    info = pickle.loads(pickle.dumps(DRIVER.open(store, "s")))
    box = Box((1, 3, 4), (3, 20, 21))
    np.testing.assert_array_equal(DRIVER.read_chunk(store, "s", info, box), volume("u2")[box.slices])


def test_real_slices():
    folder = SHARED / "fib25" / "grayscale_maps"
    if not folder.exists():
        pytest.skip("shared data is not here")
    store = store_of(folder)
    info = DRIVER.open(store, "")
    assert (info.shape, info.dtype) == ((250, 250, 250), np.uint8)
    out = np.empty((64, 250, 250), np.uint8)
    DRIVER.read_region(store, "", info, Box((100, 0, 0), out.shape), out)
    for i in (0, 63):
        expected = np.asarray(Image.open(folder / f"iso.{2700 + i}.png"))
        np.testing.assert_array_equal(out[i], expected)
    assert DRIVER.open(store, "iso.26*.png").shape == (100, 250, 250)


def test_damaged_tiff_gives_our_errors_only(tmp_path, store):
    random = np.random.default_rng(11)
    originals = []
    for options in ({}, {"compression": "zlib"}, {"tile": (16, 16), "compression": "lzw"}, {"imagej": True}):
        tifffile.imwrite(tmp_path / "a.tif", volume("u2"), photometric="minisblack", **options)
        originals.append((tmp_path / "a.tif").read_bytes())
    for _ in range(200):
        raw = np.frombuffer(originals[random.integers(len(originals))], np.uint8).copy()
        places = random.integers(0, 600, 3)
        raw[places] = random.integers(0, 256, 3)
        (tmp_path / "a.tif").write_bytes(raw.tobytes())
        with contextlib.suppress(VoxariumError):
            info = DRIVER.open(store, "a*.tif")
            DRIVER.read_chunk(store, "a*.tif", info, Box.whole(tuple(min(n, 50) for n in info.shape)))


def test_enormous_webp_is_refused(tmp_path, store):
    save_slices(tmp_path / "s", volume("u1", (1, 20, 24, 3)), ".webp", lossless=True)
    raw = bytearray((tmp_path / "s" / "slice_0.webp").read_bytes())
    at = raw.index(b"VP8L") + 9
    raw[at : at + 4] = b"\xff\xff\xff\x0f"
    (tmp_path / "s" / "slice_0.webp").write_bytes(raw)
    with pytest.raises(FormatError):
        DRIVER.open(store, "s")


def test_many_threads_may_read(tmp_path, store):
    data = volume("u2", (24, 37, 43))
    save_slices(tmp_path / "s", data)
    save_slices(tmp_path / "t", data, ".tif", compression="zlib", rowsperstrip=5)
    for path in ("t", "s"):
        info = DRIVER.open(store, path)
        out = np.zeros_like(data)
        parts = list(Box.whole(data.shape).tiles((3, 20, 43)))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda b: DRIVER.read_region(store, path, info, b, out[b.slices]), parts))  # noqa: B023
        np.testing.assert_array_equal(out, data)
