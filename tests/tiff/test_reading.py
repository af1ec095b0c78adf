"""TIFF files of every layout read like tifffile reads them, lazily, from anywhere, by many threads."""

from __future__ import annotations

import contextlib
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile

import voxarium
from voxarium.core.opening import open_array
from voxarium.errors import Code, FormatError, InputError, NotFoundError, UnsupportedError, VoxariumError
from voxarium.model.box import Box
from voxarium.model.transforms import Scale
from voxarium.stores.memory import MemoryStore


def first_image(path):
    found = voxarium.open(path)
    return found if isinstance(found, voxarium.Image) else found[next(iter(found))]


def volume(dtype, shape=(5, 37, 43)):
    n = int(np.prod(shape))
    return (np.arange(n) * 7919 % 65521).reshape(shape).astype(dtype)


# --------------------------------------------------------------------------------------------- single files
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bigtiff": True},
        {"metadata": None},
        {"compression": "zlib"},
        {"compression": "lzw", "rowsperstrip": 4},
        {"tile": (16, 32)},
        {"tile": (16, 16), "compression": "zlib", "bigtiff": True},
        {"byteorder": ">", "compression": "zlib"},
        {"byteorder": ">"},
        {"ome": True, "compression": "zlib"},
        {"imagej": True},
    ],
)
def test_multi_page_tiff(tmp_path, reads_like, dtype, options):
    tifffile.imwrite(tmp_path / "a.tif", volume(dtype), photometric="minisblack", **options)
    reads_like("a.tif", volume(dtype))


def test_volumetric_tiles_and_other_axes(tmp_path, reads_like):
    data = volume("u2", (20, 37, 43))
    tifffile.imwrite(tmp_path / "v.tif", data, tile=(16, 16, 16), compression="zlib", photometric="minisblack")
    image = reads_like("v.tif", data)
    assert image.arrays[0].info.chunk_shape == (16, 16, 16)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_colour_pages(tmp_path, reads_like, planar, compression):
    shape = (3, 17, 19, 3) if planar == "contig" else (3, 3, 17, 19)
    data = volume("u1", shape)
    tifffile.imwrite(
        tmp_path / "a.tif",
        data,
        photometric="rgb",
        planarconfig=planar,
        compression=compression,
        tile=(16, 16),
    )
    image = reads_like("a.tif", data)
    if planar == "contig":
        assert [a.name for a in image.axes] == ["z", "y", "x", "c"]


def test_ome_tiff_states_axes_and_voxel_size(tmp_path, reads_like):
    data = volume("u2", (2, 4, 11, 13))
    metadata = {
        "axes": "CZYX",
        "PhysicalSizeX": 4.0,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 4.0,
        "PhysicalSizeYUnit": "nm",
        "PhysicalSizeZ": 0.04,
        "PhysicalSizeZUnit": "µm",
        "Channel": {"Name": ["membrane", "nuclei"]},
    }
    tifffile.imwrite(tmp_path / "a.ome.tif", data, ome=True, metadata=metadata)
    image = reads_like("a.ome.tif", data)
    assert [a.name for a in image.axes] == ["c", "z", "y", "x"]
    assert [a.unit for a in image.axes] == [None, "micrometer", "nanometer", "nanometer"]
    assert image.axes[0].labels == ("membrane", "nuclei")
    assert image.levels[0].array.transform == Scale((1.0, 0.04, 4.0, 4.0))
    assert "PhysicalSizeZ" in image.info.bag.extra["ome_xml"]
    assert b"PhysicalSizeZ" in image.info.bag.records[0].header


def test_ome_tiff_without_depth_leaves_the_voxel_size_unknown(tmp_path):
    metadata = {"axes": "ZYX", "PhysicalSizeX": 4.0, "PhysicalSizeY": 4.0}
    tifffile.imwrite(tmp_path / "a.ome.tif", volume("u1"), ome=True, metadata=metadata)
    image = voxarium.open(tmp_path / "a.ome.tif")
    assert [a.name for a in image.axes] == ["z", "y", "x"]
    assert image.axes[2].unit == "micrometer"
    assert image.levels[0].array.transform is None


@pytest.mark.parametrize("unit", ["um", "micron", "\\u00B5m"])
def test_imagej_states_axes_and_voxel_size(tmp_path, reads_like, unit):
    data = volume("u1", (4, 2, 11, 13))
    tifffile.imwrite(
        tmp_path / "a.tif",
        data,
        imagej=True,
        resolution=(1 / 0.008, 1 / 0.004),
        metadata={"axes": "ZCYX", "spacing": 0.05, "unit": unit},
    )
    image = reads_like("a.tif", data)
    assert [a.name for a in image.axes] == ["z", "c", "y", "x"]
    assert image.axes[0].unit == "micrometer"
    np.testing.assert_allclose(image.levels[0].array.transform.scale, (0.05, 1.0, 0.004, 0.008), rtol=1e-6)
    assert image.info.bag.records[0].metadata["imagej"]["spacing"] == 0.05
    assert image.info.bag.extra == {}


def test_imagej_without_unit_leaves_the_voxel_size_unknown(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", volume("u1"), imagej=True, metadata={"axes": "ZYX", "spacing": 3.0})
    image = voxarium.open(tmp_path / "a.tif")
    assert [a.name for a in image.axes] == ["z", "y", "x"]
    assert image.levels[0].array.transform is None


def test_resolution_tags_alone_are_recorded_not_used(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", volume("u1"), resolution=(1e5, 2e5), resolutionunit="CENTIMETER")
    image = voxarium.open(tmp_path / "a.tif")
    assert not image.info.axes_stated
    assert image.levels[0].array.transform is None
    assert image.arrays[0].info.attributes["tiff"]["resolution"] == {"x": 1e5, "y": 2e5, "per": "centimeter"}


def test_a_single_page_keeps_two_axes(tmp_path, reads_like):
    plane = volume("u1")[0]
    tifffile.imwrite(tmp_path / "a.tif", plane)
    assert reads_like("a.tif", plane).levels[0].array.transform is None


def test_several_images_are_chosen_by_number_name_or_option(tmp_path, reads_like, store):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as writer:
        writer.write(volume("u1"), photometric="minisblack", metadata={"axes": "ZYX", "Name": "em"})
        writer.write(volume("u2", (8, 9)), metadata={"axes": "YX", "Name": "map"}, compression="zlib")
    assert reads_like("a.ome.tif::/0", volume("u1")).name == "em"
    assert reads_like("a.ome.tif::/map", volume("u2", (8, 9))).name == "map"
    reads_like("a.ome.tif::1", volume("u2", (8, 9)))
    reads_like("a.ome.tif", volume("u2", (8, 9)), series=1)
    with pytest.raises(NotFoundError, match=r"0 \(em\), 1 \(map\)") as caught:
        open_array(store, "a.ome.tif::/7")
    assert caught.value.code == Code.PATH_MISSING
    with pytest.raises(InputError, match=r"0: em \(5, 37, 43\) uint8; 1: map \(8, 9\) uint16"):
        open_array(store, "a.ome.tif", series=2)
    with pytest.raises(NotFoundError):
        open_array(store, "a.ome.tif::/0/4")


def test_pyramids_have_their_levels_in_place(tmp_path, reads_like):
    data = volume("u1", (3, 65, 90))
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", bigtiff=True) as writer:
        options = {"tile": (16, 32), "compression": "zlib", "photometric": "minisblack"}
        metadata = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 2.0}
        writer.write(data, subifds=2, metadata=metadata, **options)
        writer.write(data[:, ::2, ::2], subfiletype=1, **options)
        writer.write(data[:, ::4, ::4], subfiletype=1, **options)
    image = reads_like("a.ome.tif", data)
    assert [lv.array.shape for lv in image.levels] == [(3, 65, 90), (3, 33, 45), (3, 17, 23)]
    np.testing.assert_array_equal(image.read(level=2), data[:, ::4, ::4])
    assert image.scale_translation(1) == ((2.0, 0.5, 1.0), (0.0, 0.125, 0.25))
    assert image.scale_translation(2) == ((2.0, 1.0, 2.0), (0.0, 0.375, 0.75))
    again = voxarium.open(tmp_path / "a.ome.tif::/0/1")
    np.testing.assert_array_equal(again[...], data[:, ::2, ::2])
    assert again.scale_translation() == ((2.0, 0.5, 1.0), (0.0, 0.125, 0.25))


def test_pages_that_lie_apart_are_read_without_decoding(tmp_path, reads_like):
    data = volume("u2", (4, 37, 43))
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for plane in data:
            writer.write(plane, contiguous=False, metadata=None)
    image = reads_like("a.tif", data)
    assert image.arrays[0].info.contiguous and image.arrays[0].driver.name == "tiff-flat"


@pytest.mark.parametrize("options", [{"metadata": None}, {"compression": "zlib"}, {}, {"imagej": True}, {"ome": True}])
@pytest.mark.parametrize("share", [0.0001, 0.001, 0.01, 0.3, 0.6, 0.97])
def test_a_file_that_was_cut_off_is_noticed(tmp_path, options, share):
    """A reader that follows the chain of pages would show the pages that are left as if they were all."""
    noise = np.random.default_rng(5).integers(0, 255, (6, 60, 70), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", noise, photometric="minisblack", **options)
    raw = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(FormatError, match=r"a\.tif"):
        voxarium.open(tmp_path / "a.tif")


def test_a_corrupt_strip_is_located(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", volume("u2"), photometric="minisblack", compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        at, count = file.pages[3].dataoffsets[0], file.pages[3].databytecounts[0]
    raw = bytearray((tmp_path / "a.tif").read_bytes())
    raw[at : at + count] = b"\xff" * count
    (tmp_path / "a.tif").write_bytes(raw)
    image = voxarium.open(tmp_path / "a.tif")
    with pytest.raises(FormatError, match=r"a\.tif.*page 3"):
        image.read(Box((3, 0, 0), (1, 5, 5)))
    np.testing.assert_array_equal(image[2], volume("u2")[2])


def test_a_decoder_that_is_not_installed_is_named():
    from voxarium.codecs.tiff import segments

    class Page:
        def decode(self, *args, **kwargs):
            raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    with pytest.raises(UnsupportedError) as caught:
        segments._check_decoder(Page(), "a.tif")
    assert caught.value.code == Code.EXTRA_NOT_INSTALLED and "voxarium[tiff]" in caught.value.fix


def test_the_package_that_reads_tiff_is_named_where_it_lacks(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", volume("u1"))
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    with pytest.raises(UnsupportedError, match="tifffile") as caught:
        voxarium.open(tmp_path / "a.tif")
    assert caught.value.fix == "pip install 'voxarium[tiff]'"


class _Counting(MemoryStore):
    """Far away: no path on this machine, and every byte counts."""

    def __init__(self):
        super().__init__()
        self.bytes = self.requests = 0

    def get_ranges(self, key, ranges, /):
        found = super().get_ranges(key, ranges)
        self.requests += 1
        self.bytes += sum(memoryview(part).nbytes for part in found)
        return found


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (16, 16), "compression": "zlib"}])
def test_files_far_away_are_read_in_parts(tmp_path, options):
    data = np.random.default_rng(3).integers(0, 60000, (40, 200, 210), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack", **options)
    store = _Counting()
    store.put("far/a.tif", (tmp_path / "a.tif").read_bytes())
    array = open_array(store, "far/a.tif")
    box = Box((1, 3, 4), (2, 20, 21))
    np.testing.assert_array_equal(array.read(box), data[box.slices])
    assert store.bytes < (tmp_path / "a.tif").stat().st_size * (2 if options else 0.3)
    opened = store.bytes
    array.read(box)
    assert store.bytes - opened <= 2 * 200 * 210 * 2 * 1.1


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
def test_info_travels_to_another_process(tmp_path, store, options):
    tifffile.imwrite(tmp_path / "a.tif", volume("u2"), photometric="minisblack", **options)
    array = open_array(store, "a.tif")
    info = pickle.loads(pickle.dumps(array.info))
    box = Box((1, 3, 4), (3, 20, 21))
    np.testing.assert_array_equal(array.driver.read_chunk(store, "a.tif", info, box), volume("u2")[box.slices])


@pytest.mark.parametrize("options", [{"rowsperstrip": 5}, {"tile": (16, 16)}])
def test_many_threads_may_read(tmp_path, options):
    data = volume("u2", (24, 37, 43))
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack", compression="zlib", **options)
    image = voxarium.open(tmp_path / "a.tif")
    out = np.zeros_like(data)
    parts = list(Box.whole(data.shape).tiles((3, 20, 43)))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda b: image.read(b, out=out[b.slices]), parts))
    np.testing.assert_array_equal(out, data)


def test_damaged_files_give_our_errors_only(tmp_path):
    random = np.random.default_rng(11)
    originals = []
    for options in (
        {},
        {"compression": "zlib"},
        {"tile": (16, 16), "compression": "lzw"},
        {"imagej": True},
        {"ome": True, "metadata": {"axes": "ZYX"}},
        {"bigtiff": True, "tile": (16, 16)},
    ):
        tifffile.imwrite(tmp_path / "a.tif", volume("u2"), photometric="minisblack", **options)
        originals.append((tmp_path / "a.tif").read_bytes())
    for _ in range(300):
        raw = np.frombuffer(originals[random.integers(len(originals))], np.uint8).copy()
        places = random.integers(0, 700, 3)
        raw[places] = random.integers(0, 256, 3)
        (tmp_path / "a.tif").write_bytes(raw.tobytes())
        with contextlib.suppress(VoxariumError):
            image = first_image(tmp_path / "a.tif")
            image.read(Box.whole(tuple(min(n, 50) for n in image.shape)))


def _patched(path, tag, value):
    """Overwrite the value, or its place, of a tag of the first page of a little-endian file."""
    raw = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        at = file.pages[0].tags[tag].offset
    raw[at + 8 : at + 12] = int(value).to_bytes(4, "little")
    path.write_bytes(raw)


@pytest.mark.parametrize("tag", ["ImageWidth", "ImageLength", "TileWidth", "RowsPerStrip", "BitsPerSample"])
@pytest.mark.parametrize("value", [0, 1 << 31, (1 << 32) - 1])
def test_enormous_sizes_cost_nothing(tmp_path, tag, value):
    options = {"tile": (16, 16)} if tag.startswith("Tile") else {}
    tifffile.imwrite(tmp_path / "a.tif", volume("u1"), photometric="minisblack", compression="zlib", **options)
    _patched(tmp_path / "a.tif", tag, value)
    with contextlib.suppress(VoxariumError):
        image = first_image(tmp_path / "a.tif")
        image.read(Box((0,) * image.ndim, (1,) * image.ndim))


def test_pages_in_a_circle_end(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", volume("u1"), photometric="minisblack", metadata=None)
    raw = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        first, last = file.pages[0].offset, file.pages[len(file.pages) - 1].offset
    count = int.from_bytes(raw[last : last + 2], "little")
    raw[last + 2 + 12 * count : last + 6 + 12 * count] = first.to_bytes(4, "little")
    (tmp_path / "a.tif").write_bytes(raw)
    with pytest.raises(FormatError, match="circle"):
        voxarium.open(tmp_path / "a.tif")


def test_levels_in_a_circle_end(tmp_path):
    """The list of smaller copies of a page leads back to the page itself."""
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as writer:
        writer.write(volume("u1"), subifds=1, photometric="minisblack", metadata={"axes": "ZYX"}, compression="zlib")
        writer.write(volume("u1")[:, ::2, ::2], subfiletype=1, photometric="minisblack", compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        first = file.pages[0].offset
    _patched(tmp_path / "a.ome.tif", "SubIFDs", first)
    with contextlib.suppress(VoxariumError):
        image = voxarium.open(tmp_path / "a.ome.tif")
        image.read(level=len(image.levels) - 1)


@pytest.mark.parametrize("content", [b"", b"\0" * 3, b"no image at all, but text of some length"])
def test_junk_with_the_ending_of_tiff_is_named(tmp_path, content):
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(FormatError, match=r"a\.tif"):
        voxarium.open(tmp_path / "a.tif")
