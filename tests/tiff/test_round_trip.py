"""OME-XML survives TIFF → OME-Zarr → OME-TIFF: all of it but what tells how planes are stored."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

import voxarium
from voxarium.model.acquisition import Acquisition, ChannelFacts, ObjectiveFacts, PlaneFacts, acquisition_of
from voxarium.model.xml_tree import Element, parse_xml
from voxarium.spec.ome_xml import OME_XML

# What must change: how planes are stored, who wrote the file, and under which name it was.
CHANGED = {
    "OME": {"UUID", "Creator"},
    "Pixels": {"DimensionOrder", "BigEndian", "Interleaved"},
}
STORED = {"TiffData", "BinData", "MetadataOnly"}
SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def document(tmp_path, *, uuid="urn:uuid:00000000-0000-0000-0000-000000000001"):
    """Two images of five axes, with everything that people put into OME-XML."""

    def channels(i):
        return f"""
        <Channel ID="Channel:{i}:0" Name="GFP" Color="16711935" EmissionWavelength="509.5" SamplesPerPixel="1"
         ExcitationWavelength="488" Fluor="EGFP" PinholeSize="80.5" PinholeSizeUnit="nm" AcquisitionMode="TIRF"
         ContrastMethod="Fluorescence" NDFilter="0.25"><LightSourceSettings ID="LightSource:{i}" Attenuation="0.5"/>
         <DetectorSettings ID="Detector:{i}" Gain="2.5" Binning="2x2"/><AnnotationRef ID="Annotation:c"/></Channel>
        <Channel ID="Channel:{i}:1" Name="DAPI" SamplesPerPixel="1"><LightPath/></Channel>
        <Channel ID="Channel:{i}:2" Name="µ &lt;&amp;&gt;" Color="-1" SamplesPerPixel="1"/>"""

    def planes(sizes):
        z, c, t = sizes
        return "".join(
            f'<Plane TheZ="{k}" TheC="{j}" TheT="{i}" DeltaT="{i * 7.25 + j / 8}" ExposureTime="{50 + j}" '
            f'ExposureTimeUnit="ms" PositionX="{k * 1.5}" PositionXUnit="mm" PositionY="3" PositionZ="{k}"/>'
            for i in range(t)
            for j in range(c)
            for k in range(z)
        )

    def image(i, name, sizes, pages):
        z, c, t = sizes
        return f"""
  <Image ID="Image:{i}" Name="{name}"><AcquisitionDate>2026-03-0{i + 1}T05:06:07</AcquisitionDate>
    <ExperimenterRef ID="Experimenter:0"/><Description>what it shows,
 in two lines &amp; with "signs"</Description>
    <InstrumentRef ID="Instrument:{i}"/><ObjectiveSettings ID="Objective:{i}" RefractiveIndex="1.515" Medium="Oil"/>
    <ImagingEnvironment Temperature="37" CO2Percent="0.05"/><StageLabel Name="here" X="1.25" XUnit="mm"/>
    <Pixels ID="Pixels:{i}" DimensionOrder="XYZCT" Type="uint16" SignificantBits="12" SizeX="43" SizeY="37"
     SizeZ="{z}" SizeC="{c}" SizeT="{t}" PhysicalSizeX="65" PhysicalSizeXUnit="nm" PhysicalSizeY="0.065"
     PhysicalSizeZ="0.3" PhysicalSizeZUnit="µm" TimeIncrement="7.25">{channels(i)}
      <TiffData IFD="{pages}" PlaneCount="{z * c * t}"/>{planes(sizes)}</Pixels>
    <ROIRef ID="ROI:{i}"/><AnnotationRef ID="Annotation:{i}"/></Image>"""

    def instrument(i):
        return f"""
  <Instrument ID="Instrument:{i}"><Microscope Manufacturer="Maker" Model="Scope {i}" SerialNumber="4"/>
    <Laser ID="LightSource:{i}" Power="12.5" PowerUnit="mW" Type="Gas" Wavelength="488">
     <Pump ID="LightSource:{i}"/></Laser>
    <Detector ID="Detector:{i}" Type="EMCCD" Model="Cam"/><Objective ID="Objective:{i}" LensNA="1.4" Model="Plan"
     NominalMagnification="63" Immersion="Oil" Correction="PlanApo" WorkingDistance="0.19" WorkingDistanceUnit="mm"/>
  </Instrument>"""

    first, second = (5, 3, 2), (2, 3, 4)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<OME xmlns="{SCHEMA}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" UUID="{uuid}" Creator="a scope"
 xsi:schemaLocation="{SCHEMA} {SCHEMA}/ome.xsd">
  <Rights><RightsHolder>A lab</RightsHolder><RightsHeld>CC0</RightsHeld></Rights>
  <Project ID="Project:0" Name="P"><DatasetRef ID="Dataset:0"/></Project><Dataset ID="Dataset:0" Name="D"/>
  <Experimenter ID="Experimenter:0" FirstName="A" LastName="B"/>{instrument(0)}{instrument(1)}
  {image(0, "first one", first, 0)}{image(1, "second", second, 30)}
  <StructuredAnnotations>
    <XMLAnnotation ID="Annotation:0" Namespace="lab.example/x"><Value><Deep a="1"><Deeper>text</Deeper></Deep></Value>
    </XMLAnnotation><MapAnnotation ID="Annotation:1"><Value><M K="mouse">7</M><M K="e">a=b</M></Value></MapAnnotation>
    <TagAnnotation ID="Annotation:c"><Value>tag</Value></TagAnnotation></StructuredAnnotations>
  <ROI ID="ROI:0" Name="r"><Union><Rectangle ID="Shape:0" X="1" Y="2" Width="3.5" Height="4"/></Union></ROI>
  <ROI ID="ROI:1"><Union><Label ID="Shape:1" X="0" Y="0" Text="t"/></Union></ROI>
</OME>"""


def source_file(tmp_path, **options):
    shapes = {"first one": (2, 3, 5, 37, 43), "second": (4, 3, 2, 37, 43)}
    arrays = {n: np.random.default_rng(i).integers(0, 4096, s, np.uint16) for i, (n, s) in enumerate(shapes.items())}
    with tifffile.TiffWriter(tmp_path / "source.ome.tif", ome=False) as writer:
        description = document(tmp_path).encode()
        for data in arrays.values():
            for plane in data.reshape(-1, 37, 43):
                extra = {"description": description} if description else {}
                writer.write(plane, photometric="minisblack", metadata=None, contiguous=False, **extra, **options)
                description = None
    return tmp_path / "source.ome.tif", list(arrays.values())


def names(element: Element):
    return element.tag.rpartition(":")[2]


def semantic(element: Element):
    """Return what an element says, without what must change and without blanks between elements."""
    tag = names(element)
    attributes = {k: v for k, v in element.attributes.items() if k not in CHANGED.get(tag, ())}
    children = [semantic(c) for c in element.children if names(c) not in STORED]
    return tag, attributes, element.text.strip(), children


def only(root: Element, number: int):
    """Return what a whole document says about one image and everything around: what a file of it alone should say."""
    tag, attributes, text, children = semantic(root)
    images = [c for c in children if c[0] == "Image"]
    mine, others = images[number], [c for i, c in enumerate(images) if i != number]
    used, unused = set(references(mine)), {r for c in others for r in references(c)}
    gone = unused - used
    keep = []
    for child in children:
        if child in others or (child[0] in ("Instrument", "ROI") and child[1]["ID"] in gone):
            continue
        if child[0] == "StructuredAnnotations":
            child = (*child[:3], [a for a in child[3] if a[1]["ID"] not in gone])
        keep.append(child)
    return tag, attributes, text, keep


def references(found):
    tag, attributes, _, children = found
    if tag.endswith("Ref"):
        yield attributes["ID"]
    for child in children:
        yield from references(child)


def written_document(path):
    with tifffile.TiffFile(path) as file:
        assert file.is_ome and all(s.kind == "ome" for s in file.series)
        return file.ome_metadata.encode()


@pytest.mark.parametrize("version", ["0.4", "0.5", "0.6"])
@pytest.mark.parametrize("series", [0, 1])
def test_every_element_and_attribute_survives(tmp_path, version, series):
    source, arrays = source_file(tmp_path)
    zarr, target = tmp_path / "a.ome.zarr", tmp_path / "b.ome.tif"
    voxarium.convert(f"{source}::/{series}", zarr, spec_version=version, chunk=16, levels=2)
    assert OME_XML in voxarium.open(zarr).info.bag.extra
    voxarium.convert(zarr, target, format="ome-tiff")
    np.testing.assert_array_equal(tifffile.imread(target).reshape(arrays[series].shape), arrays[series])
    expected = only(parse_xml(document(tmp_path).encode(), "source"), series)
    assert semantic(parse_xml(written_document(target), "target")) == expected


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_every_element_survives_a_container(tmp_path, version):
    """All images at once into a bioformats2raw container, whose document is valid, and each one back."""
    source, _ = source_file(tmp_path)
    voxarium.convert(source, tmp_path / "all.zarr", levels=1, spec_version=version)
    raw = (tmp_path / "all.zarr/OME/METADATA.ome.xml").read_bytes()
    container = parse_xml(raw, "container")
    assert semantic(container) == semantic(parse_xml(document(tmp_path).encode(), "source"))
    for pixels in (p for image in container.children for p in image.children if p.tag.endswith("Pixels")):
        kinds = [e.tag.rpartition(":")[2] for e in pixels.children]
        assert kinds.count("MetadataOnly") == 1
        assert not {"TiffData", "BinData"} & {*kinds}
    for number in range(2):
        voxarium.convert(tmp_path / f"all.zarr/{number}", tmp_path / f"{number}.ome.tif", format="ome-tiff")
        found = semantic(parse_xml(written_document(tmp_path / f"{number}.ome.tif"), "target"))
        assert found == only(parse_xml(document(tmp_path).encode(), "source"), number)


def test_members_of_a_container_know_what_its_document_says_of_them(tmp_path):
    """Other writers keep OME-XML in the container alone; what an image carries itself counts more."""
    source, _ = source_file(tmp_path)
    voxarium.convert(source, tmp_path / "all.zarr", levels=1)
    for number in range(2):
        path = tmp_path / f"all.zarr/{number}/zarr.json"
        document_of_image = json.loads(path.read_text())
        own = document_of_image["attributes"].pop(OME_XML, None) or document_of_image["attributes"]["ome"].pop(OME_XML)
        path.write_text(json.dumps(document_of_image))
        found = voxarium.open(tmp_path / "all.zarr")[str(number)].info.bag.extra[OME_XML]
        assert OME_XML not in voxarium.open(tmp_path / f"all.zarr/{number}").info.bag.extra
        assert semantic(parse_xml(found.encode(), "found")) == semantic(parse_xml(own.encode(), "own"))
    voxarium.convert(tmp_path / "all.zarr", tmp_path / "again.zarr", levels=1)
    assert OME_XML in voxarium.open(tmp_path / "again.zarr/1").info.bag.extra


def test_both_images_together_say_everything_the_source_said(tmp_path):
    """Whatever the source says is said by at least one of the files made of its images."""
    source, _ = source_file(tmp_path)
    whole = semantic(parse_xml(document(tmp_path).encode(), "source"))
    found = []
    for i in range(2):
        voxarium.convert(f"{source}::/{i}", tmp_path / f"{i}.ome.zarr", levels=1)
        voxarium.convert(tmp_path / f"{i}.ome.zarr", tmp_path / f"{i}.ome.tif", format="ome-tiff")
        found.append(semantic(parse_xml(written_document(tmp_path / f"{i}.ome.tif"), "target")))
    for child in whole[3]:
        if child[0] == "StructuredAnnotations":
            for annotation in child[3]:
                assert any(annotation in c[3] for f in found for c in f[3] if c[0] == child[0]), annotation
        else:
            assert any(child in f[3] for f in found), child


def test_the_original_is_carried_byte_by_byte_while_it_is_open(tmp_path):
    source, _ = source_file(tmp_path)
    dataset = voxarium.open(source)
    assert isinstance(dataset, voxarium.Dataset) and len(dataset) == 2
    image = dataset["::/0"]
    (record,) = [r for r in image.info.bag.records if r.format == "ome-xml"]
    assert record.header == document(tmp_path).encode()
    facts = acquisition_of(image.info.bag)
    assert facts.instrument == "Maker Scope 0" and facts.objective.aperture == 1.4
    assert [c.label for c in image.info.display.channels] == ["GFP", "DAPI", "µ <&>"]
    assert [c.color for c in image.info.display.channels] == ["00FF00", None, "FFFFFF"]
    assert facts.planes[1].exposure == 0.05 and facts.planes[1].position == (None, None, 1500.0)
    assert image.scale_translation()[0] == (7.25, 1.0, 0.3, 0.065, 65.0)


def test_changes_are_told_and_the_rest_stays(tmp_path):
    source, arrays = source_file(tmp_path)
    zarr, target = tmp_path / "a.ome.zarr", tmp_path / "b.ome.tif"
    voxarium.convert(f"{source}::/0", zarr, levels=1, name="renamed", voxel_size=(0.3, 0.065, 0.07))
    voxarium.convert(zarr, target, format="ome-tiff", crop=voxarium.Box((0, 0, 1, 0, 0), (2, 3, 2, 20, 43)))
    text = written_document(target).decode()
    assert 'Name="renamed"' in text and re.search(r'PhysicalSizeX="7[0.e+1-9]*"|PhysicalSizeX="0.07"', text)
    assert 'SizeZ="2"' in text and "<Plane" not in text  # nobody knows which planes are left
    assert "Scope 0" in text and "lab.example/x" in text
    np.testing.assert_array_equal(tifffile.imread(target), arrays[0][:, :, 1:3, :20])


def test_colours_as_samples_become_channels(tmp_path):
    data = np.random.default_rng(0).integers(0, 255, (4, 30, 33, 3), np.uint8)
    tifffile.imwrite(
        tmp_path / "a.ome.tif", data, photometric="rgb", metadata={"axes": "ZYXS", "Name": "rgb"}, compression="zlib"
    )
    voxarium.convert(tmp_path / "a.ome.tif", tmp_path / "b.ome.tif", format="ome-tiff", levels=1)
    with tifffile.TiffFile(tmp_path / "b.ome.tif") as file:
        assert file.series[0].axes == "CZYX"
        np.testing.assert_array_equal(file.asarray(), np.moveaxis(data, -1, 0))
    assert [c.text for c in parse_xml(written_document(tmp_path / "b.ome.tif"), "b").find("Image", "Pixels").children]


@pytest.mark.parametrize("extra", [{}, {"operator": "somebody"}])
def test_facts_without_a_document_become_one(tmp_path, extra):
    import json

    facts = Acquisition(
        date="2026-03-04T05:06:07",
        description="a worm",
        instrument="Confocal 9",
        objective=ObjectiveFacts(model="Plan", magnification=63.0, aperture=1.4, immersion="Oil", refractive_index=1.5),
        channels=(
            ChannelFacts(name="GFP", color="00FF00", excitation=488.0, emission=509.5, pinhole=80.0, fluor="EGFP"),
            ChannelFacts(name="DAPI", mode="WideField", contrast="Fluorescence", exposure=0.05),
        ),
        planes=(PlaneFacts(index={"t": 0, "c": 1, "z": 2}, time=1.5, exposure=0.05, position=(1.0, -2.5, None)),),
        position=(None, 1.0, 2.0),
        extra=extra,
    )
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 20, 24), "u1"))
    voxarium.convert(tmp_path / "a.npy", tmp_path / "a.ome.zarr", axes="czyx", levels=1)
    path = tmp_path / "a.ome.zarr/zarr.json"
    found = json.loads(path.read_text())
    found["attributes"] |= facts.carried()
    path.write_text(json.dumps(found))
    voxarium.convert(tmp_path / "a.ome.zarr", tmp_path / "a.ome.tif", format="ome-tiff")
    found = acquisition_of(voxarium.open(tmp_path / "a.ome.tif").info.bag)
    assert (found.date, found.channels, found.objective, found.position, found.extra) == (
        facts.date,
        facts.channels,
        facts.objective,
        facts.position,
        extra,
    )
    assert facts.planes[0] in found.planes


def test_a_second_round_changes_nothing(tmp_path):
    source, _ = source_file(tmp_path)
    voxarium.convert(f"{source}::/1", tmp_path / "a.ome.tif", format="ome-tiff", levels=1)
    voxarium.convert(tmp_path / "a.ome.tif", tmp_path / "b.ome.tif", format="ome-tiff", levels=1)
    assert written_document(tmp_path / "a.ome.tif") == written_document(tmp_path / "b.ome.tif")


@pytest.mark.oracle
def test_documents_follow_the_schema(tmp_path):
    """The schema that ome-types brings finds nothing in documents that were put right, or made anew."""
    reason = "ome-types, which brings the OME schema, and xmlschema are not installed"
    ome_types = pytest.importorskip("ome_types", reason=reason)
    xmlschema = pytest.importorskip("xmlschema", reason=reason)
    schema = xmlschema.XMLSchema(Path(ome_types.__file__).parent / "ome-2016-06.xsd")
    source, _ = source_file(tmp_path)
    assert not list(schema.iter_errors(document(tmp_path)))
    voxarium.convert(f"{source}::/0", tmp_path / "a.ome.zarr", levels=1, translation=(1.0, 2.0, 3.0))
    voxarium.convert(tmp_path / "a.ome.zarr", tmp_path / "a.ome.tif", format="ome-tiff")
    voxarium.convert(source, tmp_path / "all.zarr", levels=1)
    assert not list(schema.iter_errors((tmp_path / "all.zarr/OME/METADATA.ome.xml").read_text()))
    np.save(tmp_path / "b.npy", np.zeros((2, 3, 20, 24), "u1"))
    options = {
        "axes": "czyx",
        "levels": 1,
        "unit": "nanometer",
        "voxel_size": 3,
        "translation": 4,
    }
    voxarium.convert(tmp_path / "b.npy", tmp_path / "b.ome.tif", format="ome-tiff", **options)
    for name in ("a.ome.tif", "b.ome.tif"):
        text = written_document(tmp_path / name).decode()
        assert not list(schema.iter_errors(text))
        assert len(ome_types.from_xml(text).images) == 1
