"""OME-XML is read whatever its prefixes, junk is refused, and one image can be taken out of many."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.errors import FormatError
from voxarium.model.acquisition import ObjectiveFacts
from voxarium.spec.ome_xml import OmeDocument, image_of, only_image, parse_ome_xml
from voxarium.spec.ome_xml.tree import first, unit_name

NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
FULL = f"""<?xml version="1.0" encoding="UTF-8"?>
<OME xmlns="{NAMESPACE}" UUID="urn:uuid:1" Creator="a program">
  <Plate ID="Plate:0" Name="P1"><Well ID="Well:0" Row="1" Column="4"><WellSample ID="WellSample:0" Index="0">
    <ImageRef ID="Image:0"/></WellSample><WellSample ID="WellSample:1" Index="1"><ImageRef ID="Image:1"/></WellSample>
  </Well></Plate>
  <Instrument ID="Instrument:0"><Microscope Manufacturer="Maker" Model="Scope 1"/>
    <Detector ID="Detector:0" Model="Camera X"/>
    <Objective ID="Objective:0" Model="Plan" Manufacturer="Maker" LensNA="1.4" NominalMagnification="63"
     Immersion="Oil" Correction="PlanApo"/></Instrument>
  <Instrument ID="Instrument:1"><Microscope Model="Other"/><Objective ID="Objective:1"/></Instrument>
  <Image ID="Image:0" Name="first">
    <AcquisitionDate>2026-03-04T05:06:07</AcquisitionDate><Description>a worm</Description>
    <InstrumentRef ID="Instrument:0"/><ObjectiveSettings ID="Objective:0" RefractiveIndex="1.5"/>
    <StageLabel Name="here" X="1" XUnit="mm" Y="2" YUnit="µm"/>
    <Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="7" SizeY="5" SizeZ="3" SizeC="2" SizeT="2"
     PhysicalSizeX="100" PhysicalSizeXUnit="nm" PhysicalSizeY="0.1" PhysicalSizeZ="0.3" TimeIncrement="2"
     TimeIncrementUnit="min">
      <Channel ID="Channel:0:0" Name="GFP" Color="16711935" EmissionWavelength="509.5" ExcitationWavelength="0.488"
       ExcitationWavelengthUnit="µm" PinholeSize="80" Fluor="EGFP" AcquisitionMode="SpinningDiskConfocal">
        <DetectorSettings ID="Detector:0" Gain="2.5"/></Channel>
      <Channel ID="Channel:0:1" Color="-16776961"/>
      <TiffData IFD="0" FirstZ="0" FirstC="1" FirstT="0" PlaneCount="4"><UUID FileName="b.ome.tif">urn:uuid:2</UUID>
      </TiffData>
      <Plane TheZ="0" TheC="0" TheT="0" DeltaT="100" DeltaTUnit="ms" ExposureTime="0.05" PositionX="1"
       PositionXUnit="mm" PositionZ="-3" PositionZUnit="µm"/>
      <Plane TheZ="0" TheC="0" TheT="1" DeltaT="5"/>
      <Plane TheZ="0" TheC="1" TheT="0" PositionX="9"/>
    </Pixels><ROIRef ID="ROI:0"/><AnnotationRef ID="Annotation:0"/>
  </Image>
  <Image ID="Image:1" Name="second"><InstrumentRef ID="Instrument:1"/>
    <Pixels ID="Pixels:1" DimensionOrder="XYZCT" Type="double" SizeX="1" SizeY="1" SizeZ="1" SizeC="1" SizeT="1">
    <MetadataOnly/></Pixels><ROIRef ID="ROI:1"/><AnnotationRef ID="Annotation:1"/></Image>
  <StructuredAnnotations><CommentAnnotation ID="Annotation:0"><Value>mine</Value><AnnotationRef ID="Annotation:2"/>
   </CommentAnnotation><CommentAnnotation ID="Annotation:1"><Value>other</Value></CommentAnnotation>
   <CommentAnnotation ID="Annotation:2"><Value>deep</Value></CommentAnnotation>
   <CommentAnnotation ID="Annotation:3"><Value>nobody's</Value></CommentAnnotation></StructuredAnnotations>
  <ROI ID="ROI:0"/><ROI ID="ROI:1"/>
</OME>"""


def parsed(text) -> OmeDocument:
    return parse_ome_xml(text.encode(), "x.ome.tif")


def test_everything_that_has_a_place_in_the_model_is_read():
    document = parsed(FULL)
    image = document.images[0]
    assert (image.name, image.dtype, image.order) == ("first", "uint16", "XYCZT")
    assert image.sizes == {"X": 7, "Y": 5, "Z": 3, "C": 2, "T": 2}
    assert image.physical == {
        "X": (100.0, "nanometer"),
        "Y": (0.1, "micrometer"),
        "Z": (0.3, "micrometer"),
        "T": (2.0, "minute"),
    }
    facts = image.acquisition
    assert (facts.date, facts.description, facts.instrument) == ("2026-03-04T05:06:07", "a worm", "Maker Scope 1")
    assert facts.objective == ObjectiveFacts(
        model="Plan",
        manufacturer="Maker",
        magnification=63,
        aperture=1.4,
        immersion="Oil",
        correction="PlanApo",
        refractive_index=1.5,
    )
    assert facts.position == (None, 2.0, 1000.0)
    gfp, other = facts.channels
    assert (gfp.name, gfp.color, gfp.emission, gfp.excitation) == ("GFP", "00FF00", 509.5, 488.0)
    assert (gfp.pinhole, gfp.fluor, gfp.gain, gfp.detector) == (80.0, "EGFP", 2.5, "Camera X")
    assert other.color == "FF0000"  # -16776961 is 0xFF0000FF
    assert facts.planes[0].index == {"t": 0, "c": 0, "z": 0}
    assert (facts.planes[0].time, facts.planes[0].exposure) == (0.1, 0.05)
    assert facts.planes[0].position == (-3.0, None, 1000.0)
    assert facts.planes[1].time == 5.0
    assert len(facts.planes) == 2  # a position in the frame of the stage alone means no length
    (block,) = image.blocks
    assert (block.file, block.page, block.c, block.count) == ("b.ome.tif", 0, 1, 4)
    assert document.files == ("b.ome.tif",) and document.creator == "a program"
    assert [(i.well.plate, i.well.row, i.well.column, i.well.field) for i in document.images if i.well] == [
        ("P1", 1, 4, 0),
        ("P1", 1, 4, 1),
    ]
    assert document.images[1].dtype == "float64"


def test_a_prefix_changes_nothing():
    plain = '<OME><Image Name="n"><Pixels SizeX="5"/></Image></OME>'
    prefixed = f'<ome:OME xmlns:ome="{NAMESPACE}"><ome:Image Name="n"><ome:Pixels SizeX="5"/></ome:Image></ome:OME>'
    assert parsed(plain).images == parsed(prefixed).images


def test_the_step_of_time_is_derived_from_even_times_only():
    planes = '<Plane TheZ="0" TheC="0" TheT="{}" DeltaT="{}"/>'

    def image(*times):
        inside = "".join(planes.format(i, t) for i, t in enumerate(times))
        return parsed(f'<OME><Image><Pixels SizeT="{len(times)}">{inside}</Pixels></Image></OME>').images[0]

    assert image(0, 5, 10).physical["T"] == (5.0, "second") and image(0, 5, 10).acquisition.times == ()
    assert "T" not in image(0, 5, 11).physical and image(0, 5, 11).acquisition.times == (0, 5, 11)


def test_sizes_without_a_unit_of_length_are_unknown():
    text = (
        '<OME><Image><Pixels PhysicalSizeX="4" PhysicalSizeXUnit="pixel" PhysicalSizeY="-1" '
        'PhysicalSizeZ="nan" TimeIncrement="2"/></Image></OME>'
    )
    assert parsed(text).images[0].physical == {"T": (2.0, "second")}
    assert unit_name("reference frame") is None and unit_name("km") == "kilometer" and unit_name("h") == "hour"


def test_an_image_is_taken_out_with_what_belongs_to_it():
    document = parsed(FULL)
    text = only_image(document, 0).decode()
    assert 'Name="first"' in text and 'Name="second"' not in text
    assert "mine" in text and "deep" in text and "nobody's" in text and "other" not in text
    assert "Scope 1" in text and 'Model="Other"' not in text
    assert 'ROI ID="ROI:0"' in text and 'ROI ID="ROI:1"' not in text
    assert 'ImageRef ID="Image:0"' in text and 'ImageRef ID="Image:1"' not in text
    again = parsed(text)
    assert again.images[0].acquisition == document.images[0].acquisition
    assert first(document.root, "Plate", "Well") is not None
    assert len(document.images) == 2  # the document itself is unchanged
    assert 'ImageRef ID="Image:1"' in only_image(document, 1).decode()


@pytest.mark.parametrize(
    "text", ["", "<x/>", '<!DOCTYPE x [<!ENTITY a "b">]><OME/>', "<OME><Image><Pixels></Image></OME>", "<OME>&a;</OME>"]
)
def test_what_is_no_ome_xml_is_refused(text):
    with pytest.raises(FormatError, match=r"x\.ome\.tif"):
        parsed(text)


def test_an_image_that_is_not_there_is_refused():
    with pytest.raises(FormatError, match="1 images, not 2"):
        image_of(parsed("<OME><Image/></OME>"), 1, "x.ome.tif")


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_a_document_or_a_format_error(raw):
    with contextlib.suppress(FormatError):
        parse_ome_xml(raw, "x")


words = st.sampled_from(
    ["OME", "Image", "Pixels", "Channel", "Plane", "TiffData", "UUID", "Plate", "Well", "ROI", "StructuredAnnotations"]
)
names = st.sampled_from(
    ["ID", "Name", "SizeX", "SizeC", "Color", "TheZ", "TheC", "TheT", "DeltaT", "IFD", "PlaneCount", "PhysicalSizeX"]
)
values = st.sampled_from(["0", "-1", "1e400", "nan", "99999999999999999999", "4", "x", "µm", ""])


@st.composite
def elements(draw, depth=0):
    attributes = draw(st.dictionaries(names, values, max_size=3))
    inside = "".join(draw(st.lists(elements(depth + 1), max_size=3))) if depth < 4 else ""
    tag = "OME" if depth == 0 else draw(words)
    return f"<{tag} {' '.join(f'{k}={chr(34)}{v}{chr(34)}' for k, v in attributes.items())}>{inside}</{tag}>"


@given(elements())
def test_any_numbers_and_nesting_are_read(text):
    document = parsed(text)
    for i in range(len(document.images)):
        parse_ome_xml(only_image(document, i), "again")
