"""What other programs write: sets of files and companions, ImageJ, LSM, MetaMorph, slide scanners, Micro-Manager.

OME-TIFF and ImageJ files are written by tifffile. No sample files of the others are at hand: theirs are look-alikes
with the tags and descriptions that tifffile recognises.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

import voxarium
from voxarium.errors import FormatError, NotFoundError
from voxarium.model.acquisition import acquisition_of
from voxarium.spec.tiff_metadata import parse_stated

SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
NONE = (None, None, "")


def data(shape=(2, 3, 4, 21, 30), dtype="u2"):
    return (np.arange(np.prod(shape)) * 7919 % 65521).reshape(shape).astype(dtype)


def pixels(blocks, *, order="XYZCT", sizes=(4, 3, 2), dtype="uint16"):
    z, c, t = sizes
    return (
        f'<Image ID="Image:0" Name="set"><Pixels ID="Pixels:0" DimensionOrder="{order}" Type="{dtype}" SizeX="30" '
        f'SizeY="21" SizeZ="{z}" SizeC="{c}" SizeT="{t}" PhysicalSizeX="0.5" PhysicalSizeY="0.5" PhysicalSizeZ="2">'
        + "".join(f'<Channel ID="Channel:0:{i}" Name="c{i}" SamplesPerPixel="1"/>' for i in range(c))
        + "".join(blocks)
        + "</Pixels></Image>"
    )


def block(file, *, page=0, count=None, uuid="urn:uuid:9", **first):
    where = "".join(f' First{k}="{v}"' for k, v in first.items())
    number = "" if count is None else f' PlaneCount="{count}"'
    return f'<TiffData IFD="{page}"{number}{where}><UUID FileName="{file}">{uuid}</UUID></TiffData>'


def document(*images):
    return f'<?xml version="1.0"?><OME xmlns="{SCHEMA}" UUID="urn:uuid:1">{"".join(images)}</OME>'


def write_planes(path, planes, description=None, **options):
    with tifffile.TiffWriter(path, ome=False) as writer:
        for i, plane in enumerate(planes):
            first = {"description": description.encode()} if description and not i else {}
            writer.write(plane, photometric="minisblack", metadata=None, contiguous=False, **first, **options)


# --------------------------------------------------------------------------------------------- sets of files
@pytest.mark.parametrize("options", [{}, {"compression": "zlib", "tile": (16, 16)}])
@pytest.mark.parametrize("order", ["XYZCT", "XYCTZ", "XYTZC"])
def test_a_set_of_files_opens_through_any_of_them(tmp_path, options, order):
    """One file for each time point; planes stand in the stated order."""
    array = data()
    letters = [a for a in reversed(order[2:])]
    stored = array.transpose(["TCZ".index(a) for a in letters] + [3, 4])
    planes = stored.reshape(-1, 21, 30)
    first = dict(zip("TCZ", np.unravel_index(12, (2, 3, 4)), strict=True))
    first = {a: np.unravel_index(12, stored.shape[:3])[letters.index(a)] for a in "TCZ"}
    xml = document(pixels([block("a.ome.tif", count=12), block("b.ome.tif", count=12, **first)], order=order))
    for name, part in (("a.ome.tif", planes[:12]), ("b.ome.tif", planes[12:])):
        write_planes(tmp_path / name, part, xml, **options)
    for name in ("a.ome.tif", "b.ome.tif"):
        image = voxarium.open(tmp_path / name)
        assert [a.name for a in image.axes] == [a.lower() for a in letters] + ["y", "x"]
        np.testing.assert_array_equal(image[...], stored)
        np.testing.assert_array_equal(image[1, 0, 1, 3:9, 5:7], stored[1, 0, 1, 3:9, 5:7])
    assert image.voxel_size()[-2:] == (0.5, 0.5) and image.name == "set"


def test_a_companion_has_the_metadata(tmp_path):
    array = data()
    xml = document(pixels([block(f"t{t}.ome.tif", count=12, T=t) for t in range(2)]))
    (tmp_path / "a.companion.ome").write_text(xml)
    binary = f'<OME xmlns="{SCHEMA}"><BinaryOnly MetadataFile="a.companion.ome" UUID="urn:uuid:1"/></OME>'
    for t in range(2):
        write_planes(tmp_path / f"t{t}.ome.tif", array[t].reshape(-1, 21, 30), binary)
    for name in ("a.companion.ome", "t0.ome.tif", "t1.ome.tif"):
        np.testing.assert_array_equal(voxarium.open(tmp_path / name)[...], array)
    image = voxarium.open(tmp_path / "a.companion.ome")
    assert [c.label for c in image.info.display.channels] == ["c0", "c1", "c2"]
    assert image.info.bag.records[0].header == xml.encode()
    (tmp_path / "t1.ome.tif").unlink()
    with pytest.raises(NotFoundError, match=r"t1\.ome\.tif"):
        voxarium.open(tmp_path / "a.companion.ome")
    (tmp_path / "a.companion.ome").unlink()
    with pytest.raises(NotFoundError, match="companion"):
        voxarium.open(tmp_path / "t0.ome.tif")


def test_files_in_folders_below_and_smaller_copies_are_found(tmp_path):
    array = data((2, 64, 48))
    (tmp_path / "below").mkdir()
    xml = document(
        pixels([block(f"below/{c}.tif", count=1, C=c) for c in range(2)], sizes=(1, 2, 1)).replace("30", "48")
        .replace("21", "64")
    )  # fmt: skip
    (tmp_path / "a.companion.ome").write_text(xml)
    for c in range(2):
        with tifffile.TiffWriter(tmp_path / f"below/{c}.tif") as writer:
            writer.write(array[c], subifds=1, tile=(16, 16), compression="zlib", metadata=None)
            writer.write(array[c, ::2, ::2], subfiletype=1, tile=(16, 16), compression="zlib", metadata=None)
    image = voxarium.open(tmp_path / "a.companion.ome")
    np.testing.assert_array_equal(image[...], array)
    np.testing.assert_array_equal(image.read(level=1), array[:, ::2, ::2])


@pytest.mark.parametrize("name", ["../b.tif", "/etc/passwd", "x/../../b.tif", "..\\\\b.tif", "a.h5::/x"])
def test_files_outside_the_folder_are_never_opened(tmp_path, name):
    (tmp_path / "in").mkdir()
    write_planes(tmp_path / "b.tif", data((24, 21, 30)))
    xml = document(pixels([block("a.ome.tif", count=12), block(name, count=12, T=1)]))
    write_planes(tmp_path / "in/a.ome.tif", data((12, 21, 30)), xml)
    (tmp_path / "in/a.companion.ome").write_text(xml)
    for path in ("in/a.ome.tif", "in/a.companion.ome"):
        with pytest.raises(FormatError, match="not in its folder"):
            voxarium.open(tmp_path / path)


def test_a_file_that_was_renamed_is_itself(tmp_path):
    array = data((24, 21, 30))
    write_planes(tmp_path / "new.ome.tif", array, document(pixels([block("old.ome.tif", count=24)])))
    np.testing.assert_array_equal(voxarium.open(tmp_path / "new.ome.tif")[...], array.reshape(2, 3, 4, 21, 30))


def test_planes_that_are_nowhere_are_said(tmp_path):
    xml = document(pixels([block("a.ome.tif", count=12), block("b.ome.tif", count=6, T=1)]))
    array = data()
    write_planes(tmp_path / "a.ome.tif", array[0].reshape(-1, 21, 30), xml)
    write_planes(tmp_path / "b.ome.tif", array[1].reshape(-1, 21, 30)[:6], xml)
    image = voxarium.open(tmp_path / "a.ome.tif")
    assert image.arrays[0].info.remarks == ("6 planes are in no file: they read as 0",)
    assert not image[1, 2].any()
    np.testing.assert_array_equal(image[0], array[0])


@pytest.mark.parametrize(
    "blocks",
    [
        [block("a.ome.tif", count=99), block("b.ome.tif")],
        [block("a.ome.tif", page=9999999, count=1), block("b.ome.tif", T=1)],
        [block("a.ome.tif", count=1, Z=12345678901234), block("b.ome.tif", T=1)],
        [block("a.ome.tif", count=1, T=1, Z=4), block("b.ome.tif")],
        [],
    ],
)
def test_planes_that_cannot_be_are_refused(tmp_path, blocks):
    (tmp_path / "a.companion.ome").write_text(document(pixels(blocks)))
    for name in ("a.ome.tif", "b.ome.tif"):
        write_planes(tmp_path / name, data((12, 21, 30)))
    with pytest.raises(FormatError):
        voxarium.open(tmp_path / "a.companion.ome")


@pytest.mark.parametrize("size", [1 << 40, 1 << 62])
def test_enormous_sizes_in_a_companion_cost_nothing(tmp_path, size):
    xml = document(pixels([block("a.ome.tif", count=1)], sizes=(2, 1, 2))).replace('SizeZ="2"', f'SizeZ="{size}"')
    (tmp_path / "a.companion.ome").write_text(xml)
    write_planes(tmp_path / "a.ome.tif", data((2, 21, 30)))
    if size == 1 << 40:
        with pytest.raises(FormatError, match="claims"):
            voxarium.open(tmp_path / "a.companion.ome")


def test_a_plate_tells_where_its_images_belong(tmp_path):
    images = [pixels([f'<TiffData IFD="{i}" PlaneCount="1"/>'], sizes=(1, 1, 1)) for i in range(2)]
    images = [x.replace("Image:0", f"Image:{i}").replace("Pixels:0", f"Pixels:{i}") for i, x in enumerate(images)]
    plate = (
        '<Plate ID="Plate:0" Name="P"><Well ID="Well:0" Row="1" Column="2"><WellSample ID="WellSample:0" Index="0">'
        '<ImageRef ID="Image:1"/></WellSample></Well></Plate>'
    )
    write_planes(tmp_path / "a.ome.tif", data((2, 21, 30)), document(plate, *images))
    dataset = voxarium.open(tmp_path / "a.ome.tif")
    from voxarium.formats.tiff import TiffCollectionDriver

    info = TiffCollectionDriver().open(dataset.store, "a.ome.tif")
    assert [m.path for m in info.members] == ["::/0", "::/1"] and info.bag.records[0].format == "ome-xml"
    assert info.members[1].facts["row"] == 1 and info.members[1].facts["column"] == 2
    assert "row" not in info.members[0].facts
    np.testing.assert_array_equal(dataset["::/1"][...], data((2, 21, 30))[1])


# ----------------------------------------------------------------------------------------------------- ImageJ
def test_imagej_hyperstacks_keep_ranges_colours_and_labels(tmp_path):
    array = data((2, 4, 3, 21, 30))
    luts = np.zeros((3, 3, 256), np.uint8)
    luts[0, 0] = luts[1, 1] = luts[2, 2] = np.arange(256)
    metadata = {
        "axes": "TZCYX", "mode": "composite", "spacing": 2.0, "unit": "um", "finterval": 1.5,
        "Ranges": [0.0, 100.0, 5.0, 50.0, 1.0, 9.0], "LUTs": list(luts), "Info": "note\nmore",
        "Labels": [f"s{i}" for i in range(24)],
    }  # fmt: skip
    tifffile.imwrite(tmp_path / "a.tif", array, imagej=True, resolution=(2.0, 2.0), metadata=metadata)
    image = voxarium.open(tmp_path / "a.tif")
    np.testing.assert_array_equal(image[...], array)
    assert [a.name for a in image.axes] == list("tzcyx")
    assert image.voxel_size() == (1.5, 2.0, 1.0, 0.5, 0.5)
    assert [c.color for c in image.info.display.channels] == ["FF0000", "00FF00", "0000FF"]
    assert image.info.display.channels[1].window == (5.0, 50.0)
    voxarium.convert(tmp_path / "a.tif", tmp_path / "a.ome.zarr", levels=1)
    again = voxarium.open(tmp_path / "a.ome.zarr").info
    assert again.bag.extra["source_metadata"]["imagej"]["Info"] == "note\nmore"
    assert len(again.bag.extra["source_metadata"]["imagej"]["Labels"]) == 24
    assert again.display.channels[2].color == "0000FF"
    voxarium.convert(tmp_path / "a.ome.zarr", tmp_path / "b.ome.tif", format="ome-tiff", levels=1)
    last = voxarium.open(tmp_path / "b.ome.tif").info
    assert last.bag.extra["source_metadata"] == again.bag.extra["source_metadata"]
    assert last.display.channels[1].window == (5.0, 50.0)


def test_imagej_stacks_beyond_four_gigabytes_are_one_page(tmp_path):
    """Such files have the page of the first plane only; the file here is sparse."""
    plane = 1 << 20
    count = 4100
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 1024, 1024), "u1"), imagej=True, metadata={"axes": "ZYX"})
    raw = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        page = file.pages[0]
        at = page.dataoffsets[0]
        description = page.tags["ImageDescription"]
        end = page.offset + 2 + 12 * len(page.tags)
        start = description.valueoffset
        length = description.count
    text = f"ImageJ=1.54f\nimages={count}\nslices={count}\nloop=false\n".encode()
    assert len(text) <= length
    raw[start : start + length] = text.ljust(length, b"\0")
    raw[end : end + 4] = bytes(4)  # no further page
    with (tmp_path / "big.tif").open("wb") as big:
        big.write(raw[:at])
        big.truncate(at + count * plane)
        big.seek(at + (count - 1) * plane + 7)
        big.write(b"\x2a")
    image = voxarium.open(tmp_path / "big.tif")
    assert image.shape == (count, 1024, 1024) and image.arrays[0].info.contiguous
    assert image[count - 1, 0, :9].tolist() == [0] * 7 + [42, 0]


# --------------------------------------------------------------------------------------- look-alikes of others
def test_slides_list_their_images_and_know_their_voxel_size(tmp_path):
    base = data((240, 256, 3), "u1")
    text = "Aperio Image Library v10\n256x240 (16x16) JPEG|AppMag = 20|MPP = 0.499|Date = 12/29/09|Time = 09:59:15"
    with tifffile.TiffWriter(tmp_path / "a.svs") as writer:
        options = {"photometric": "rgb", "metadata": None, "tile": (16, 16), "compression": "zlib"}
        writer.write(base, description=text, **options)
        writer.write(base[::4, ::4].copy(), photometric="rgb", metadata=None, description="Aperio thumb")
        writer.write(base[::2, ::2].copy(), description="Aperio Image Library\n128x120|AppMag = 20", **options)
        writer.write(base[:33].copy(), photometric="rgb", metadata=None, description="Aperio label 1", subfiletype=1)
        writer.write(base[:44].copy(), photometric="rgb", metadata=None, description="Aperio macro 2", subfiletype=9)
    dataset = voxarium.open(tmp_path / "a.svs")
    image = dataset["::/0"]
    assert [a.name for a in image.axes] == ["y", "x", "c"] and image.unit == "micrometer"
    assert [lv.array.shape for lv in image.levels] == [(240, 256, 3), (120, 128, 3)]
    assert image.voxel_size()[:2] == (0.499, 0.499) and image.voxel_size(1)[:2] == (0.998, 0.998)
    np.testing.assert_array_equal(image.read(level=1), base[::2, ::2])
    facts = acquisition_of(image.info.bag)
    assert facts.objective.magnification == 20 and facts.date == "2009-12-29T09:59:15"
    assert voxarium.open(f"{tmp_path / 'a.svs'}::/Baseline").shape == (240, 256, 3)


def test_metamorph_metadata_are_mapped():
    found = parse_stated(
        "stk",
        {
            "stk": {
                "NumberPlanes": 3, "XCalibration": 0.25, "YCalibration": 0.25, "CalibrationUnits": "um",
                "ZDistance": [2.0, 2.0, 2.0], "Wavelengths": [525.0, 525.0, 525.0], "Name": "stack",
                "DatetimeCreated": ["2020-05-30T12:00:00", "2020-05-30T12:00:01"],
            }
        },
        NONE,
    )  # fmt: skip
    assert found.sizes == {"Y": (0.25, "micrometer"), "X": (0.25, "micrometer"), "Z": (2.0, "micrometer")}
    assert found.acquisition.channels[0].emission == 525 and found.acquisition.date == "2020-05-30T12:00:00"


def test_lsm_metadata_are_mapped():
    found = parse_stated(
        "lsm",
        {
            "lsm": {
                "VoxelSizeX": 1.1e-7, "VoxelSizeY": 1.1e-7, "VoxelSizeZ": 5e-7, "TimeIntervall": 0.0,
                "TimeStamps": [10.0, 12.5, 15.0],
                "ChannelColors": {"ColorNames": ["Ch1", "Ch2"], "Colors": [[255, 0, 0, 0], [0, 255, 0, 0]]},
                "ScanInformation": {
                    "Name": "scan", "Description": "text", "Objective": "Plan 63x",
                    "Tracks": [
                        {"IlluminationChannels": [{"Wavelength": 488.0}],
                         "DetectionChannels": [{"PinholeDiameter": 90.0, "DyeName": "FITC"}]},
                        {"DetectionChannels": [{"DetectorGain": 600.0}]},
                    ],
                },
            }
        },
        NONE,
    )  # fmt: skip
    assert found.sizes["X"] == (0.11, "micrometer") and found.sizes["T"] == (2.5, "second")
    first, second = found.acquisition.channels
    assert (first.name, first.color, first.fluor, first.excitation, first.pinhole) == ("Ch1", "FF0000", "FITC", 488, 90)
    assert (second.color, second.gain) == ("00FF00", 600) and found.acquisition.objective.model == "Plan 63x"


def test_micro_manager_and_scanners_are_mapped():
    summary = {
        "PixelSize_um": 0.65, "z-step_um": -1.5, "Interval_ms": 2000, "ChNames": ["A", "B"],
        "ChColors": [-16711936, 255], "StartTime": "2026-03-04 05:06:07", "Prefix": "run",
    }  # fmt: skip
    found = parse_stated("mmstack", {"micromanager": {"Summary": summary, "Comments": {"Summary": "hello"}}}, NONE)
    assert found.sizes == {
        "Z": (1.5, "micrometer"),
        "Y": (0.65, "micrometer"),
        "X": (0.65, "micrometer"),
        "T": (2.0, "second"),
    }
    assert [c.color for c in found.acquisition.channels] == ["00FF00", "0000FF"] and found.name == "run"
    ndpi = parse_stated("ndpi", {}, (20_000.0, 40_000.0, "centimeter"))
    assert ndpi.sizes == {"Y": (0.25, "micrometer"), "X": (0.5, "micrometer")}
    assert parse_stated("shaped", {}, (20_000.0, 40_000.0, "centimeter")).sizes == {}


def test_tags_that_people_wrote_are_carried(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif",
        data((21, 30)),
        description="a note",
        metadata=None,
        software="x",
        extratags=[(315, 2, 0, "Somebody", True)],
    )
    image = voxarium.open(tmp_path / "a.tif")
    assert image.info.bag.extra == {"source_metadata": {"tags": {"ImageDescription": "a note", "Artist": "Somebody"}}}
    (record,) = image.info.bag.records
    assert record.metadata["tags"]["Software"] == "x"
    json.dumps(record.metadata, allow_nan=False)
