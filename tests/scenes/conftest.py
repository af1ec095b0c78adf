"""Documents of every scene dialect, written by hand from the public descriptions of the formats."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def shared() -> Path:
    if not SHARED.exists():
        pytest.skip(f"shared data are not at {SHARED}")
    return SHARED


# -- OpenOrganelle
MANIFEST: dict[str, Any] = {
    "name": "lab_cell-1",
    "metadata": {"title": "A cell", "institution": ["Lab"], "publications": []},
    "sources": {
        "fibsem-uint8": {
            "name": "fibsem-uint8",
            "description": "FIB-SEM",
            "url": "s3://bucket/lab_cell-1/lab_cell-1.n5/em/fibsem-uint8",
            "format": "n5",
            "transform": {
                "axes": ["z", "y", "x"],
                "units": ["nm", "nm", "nm"],
                "translate": [10.0, 0.0, -4.0],
                "scale": [5.24, -4.0, 4.5],
            },
            "sampleType": "scalar",
            "contentType": "em",
            "displaySettings": {
                "contrastLimits": {"start": 20, "end": 180, "min": 0, "max": 255},
                "color": "white",
                "invertLUT": True,
            },
            "subsources": [],
        },
        "mito_seg": {
            "name": "mito_seg",
            "description": "Mitochondria",
            "url": "s3://bucket/lab_cell-1/lab_cell-1.n5/labels/mito_seg",
            "format": "n5",
            "transform": {
                "axes": ["z", "y", "x"],
                "units": ["nm", "nm", "nm"],
                "translate": [0.0, 0.0, 0.0],
                "scale": [5.24, 4.0, 4.5],
            },
            "sampleType": "label",
            "contentType": "segmentation",
            "displaySettings": {
                "contrastLimits": {"start": 0, "end": 65535, "min": 0, "max": 65535},
                "color": "green",
                "invertLUT": False,
            },
            "subsources": [
                {
                    "name": "mito_seg",
                    "description": "",
                    "url": "s3://bucket/lab_cell-1/neuroglancer/mesh/mito_seg",
                    "format": "neuroglancer_multilod_draco",
                    "transform": {
                        "axes": ["z", "y", "x"],
                        "units": ["nm", "nm", "nm"],
                        "translate": [0.0, 0.0, 0.0],
                        "scale": [1.0, 1.0, 1.0],
                    },
                    "ids": [3, 4],
                }
            ],
        },
    },
    "views": [
        {
            "name": "Default view",
            "description": "All of it.",
            "sources": ["fibsem-uint8"],
            "position": None,
            "scale": None,
            "orientation": [0.0, 1.0, 0.0, 0.0],
        },
        {
            "name": "Mitochondria",
            "description": "Some of it.",
            "sources": ["mito_seg", "fibsem-uint8"],
            "position": [25042.0, 1205.0, 14561.0],
            "scale": 3.9,
            "orientation": [1.0, 0.0, 0.0, 0.0],
        },
    ],
}

# -- MoBIE
PROJECT: dict[str, Any] = {
    "project.json": {
        "specVersion": "0.3.1",
        "datasets": ["clem"],
        "defaultDataset": "clem",
        "description": "Correlative data.",
        "references": ["https://doi.org/10.1/x"],
    },
    "clem/dataset.json": {
        "is2D": False,
        "sources": {
            "em": {
                "image": {
                    "imageData": {
                        "bdv.n5": {"relativePath": "images/bdv-n5/em.xml"},
                        "ome.zarr.s3": {
                            "s3Address": "https://s3.example.org/bucket/em.ome.zarr",
                            "signingRegion": "us-west-2",
                        },
                    }
                }
            },
            "lm": {"image": {"imageData": {"ome.zarr": {"relativePath": "images/lm.ome.zarr", "channel": 1}}}},
            "hela": {
                "image": {
                    "imageData": {"openOrganelle.s3": {"s3Address": "https://bucket.s3.amazonaws.com/a/a.n5/em/e"}}
                }
            },
            "cells": {
                "segmentation": {
                    "imageData": {"ome.zarr": {"relativePath": "images/cells.ome.zarr"}},
                    "tableData": {"tsv": {"relativePath": "tables/cells"}},
                }
            },
            "genes": {
                "spots": {
                    "tableData": {"tsv": {"relativePath": "tables/genes"}},
                    "boundingBoxMin": [0.0, 0.0, 0.0],
                    "boundingBoxMax": [9.0, 8.0, 7.0],
                    "unit": "micrometer",
                }
            },
            "positions": {"regions": {"tableData": {"tsv": {"relativePath": "tables/positions"}}}},
        },
        "views": {
            "default": {
                "isExclusive": True,
                "uiSelectionGroup": "bookmark",
                "description": "Everything in place.",
                "sourceDisplays": [
                    {
                        "imageDisplay": {
                            "name": "em",
                            "sources": ["em"],
                            "color": "white",
                            "contrastLimits": [150, 45700],
                            "opacity": 1.0,
                            "blendingMode": "alpha",
                            "invert": True,
                        }
                    },
                    {
                        "imageDisplay": {
                            "name": "light",
                            "sources": ["lm", "hela"],
                            "color": "r16-g32-b255-a255",
                            "contrastLimits": [0.5, 250],
                            "opacity": 0.75,
                            "blendingMode": "sum",
                            "visible": False,
                            "showImagesIn3d": True,
                        }
                    },
                    {
                        "regionDisplay": {
                            "name": "where",
                            "sources": {"A": ["em"]},
                            "tableSource": "positions",
                            "opacity": 0.5,
                            "lut": "glasbey",
                        }
                    },
                    {
                        "segmentationDisplay": {
                            "name": "cells",
                            "sources": ["cells"],
                            "lut": "viridis",
                            "opacity": 0.4,
                            "selectedSegmentIds": ["cells;0;7", "cells;2;9"],
                            "valueLimits": [0, 5],
                        }
                    },
                ],
                "sourceTransforms": [
                    {
                        "affine": {
                            "name": "turn",
                            "parameters": [0.0, 2.0, 0.0, 5.0, -3.0, 0.0, 0.0, 6.0, 0.0, 0.0, 4.0, 7.0],
                            "sources": ["em", "lm"],
                        }
                    },
                    {
                        "crop": {
                            "min": [1.0, 2.0, 3.0],
                            "max": [11.0, 22.0, 33.0],
                            "sources": ["hela"],
                            "sourceNamesAfterTransform": ["hela_crop"],
                            "centerAtOrigin": False,
                        }
                    },
                ],
                "viewerTransform": {"position": [1.5, 2.5, 3.5], "timepoint": 1},
            },
            "grid": {
                "isExclusive": False,
                "uiSelectionGroup": "grids",
                "sourceDisplays": [
                    {
                        "spotDisplay": {
                            "name": "genes",
                            "sources": ["genes"],
                            "lut": "glasbey",
                            "opacity": 1.0,
                            "spotRadius": 0.25,
                        }
                    }
                ],
                "sourceTransforms": [
                    {
                        "transformedGrid": {
                            "nestedSources": [["em", "cells"], ["lm"]],
                            "positions": [[0, 0], [1, 0]],
                            "margin": 0.1,
                        }
                    },
                    {"mergedGrid": {"sources": ["hela", "lm"], "mergedGridSourceName": "both", "metadataSource": "lm"}},
                    {"timepoints": {"sources": ["genes"], "parameters": [[0, 2]], "keep": True}},
                ],
                "viewerTransform": {
                    "normalizedAffine": [0.02, 0.0, 0.0, -0.4, 0.0, 0.0, 0.02, -0.2, 0.0, -0.02, 0.0, 0.1],
                    "timepoint": 0,
                },
            },
            "em": {
                "isExclusive": False,
                "uiSelectionGroup": "volumes",
                "sourceDisplays": [
                    {
                        "imageDisplay": {
                            "name": "em",
                            "sources": ["em"],
                            "color": "green",
                            "contrastLimits": [0, 65535],
                            "opacity": 1.0,
                        }
                    }
                ],
                "sourceTransforms": [
                    {
                        "affine": {
                            "name": "turn",
                            "parameters": [0.0, 2.0, 0.0, 5.0, -3.0, 0.0, 0.0, 6.0, 0.0, 0.0, 4.0, 7.0],
                            "sources": ["em"],
                        }
                    }
                ],
            },
        },
    },
}

# -- Neuroglancer
_NM = {"x": [4e-9, "m"], "y": [4e-9, "m"], "z": [4e-8, "m"]}
STATE: dict[str, Any] = {
    "title": "fly: central complex",
    "dimensions": _NM,
    "position": [109421.8984375, 41044.6796875, 5417.5],
    "crossSectionScale": 2.1875,
    "crossSectionOrientation": [0.5, 0.5, -0.5, 0.5],
    "projectionOrientation": [-0.0894, -0.9848, -0.0747, 0.1288],
    "projectionScale": 27773.01935712,
    "layers": [
        {
            "type": "image",
            "source": "precomputed://gs://bucket/em",
            "blend": "additive",
            "visible": False,
            "name": "em",
        },
        {
            "type": "image",
            "source": {
                "url": "precomputed://gs://bucket/aligned",
                "transform": {
                    "matrix": [[1.0, 0.0, 0.25, 10.0], [0.0, -1.0, 0.0, -5.5], [0.0, 0.0, 1.0, 0.0]],
                    "outputDimensions": _NM,
                    "inputDimensions": {"0": [8e-9, "m"], "1": [8e-9, "m"], "2": [4e-8, "m"]},
                },
            },
            "shader": "#uicontrol invlerp normalized\nvoid main() {emitGrayscale(normalized());}",
            "shaderControls": {"normalized": {"range": [200, 50], "window": [0, 255], "channel": [0]}, "gamma": 1.2},
            "name": "aligned",
        },
        {
            "type": "segmentation",
            "source": [
                "precomputed://gs://bucket/segmentation",
                {
                    "url": "precomputed://gs://bucket/meshes",
                    "enableDefaultSubsources": False,
                    "subsources": {"mesh": True},
                },
            ],
            "segments": ["710435991", "!5", "18446744073709551615"],
            "segmentColors": {"5": "#ff0080"},
            "segmentDefaultColor": "#00ff00",
            "selectedAlpha": 0.3,
            "skeletonRendering": {"mode2d": "lines_and_points", "mode3d": "lines"},
            "name": "neurons",
        },
        {
            "type": "annotation",
            "source": {"url": "local://annotations", "transform": {"outputDimensions": _NM}},
            "annotations": [{"type": "point", "id": "a", "point": [1.0, 2.0, 3.0]}],
            "annotationColor": "#ffff00",
            "name": "somata",
        },
        {
            "type": "image",
            "source": "s3://bucket/em.zarr/|zarr3:",
            "localDimensions": {"c'": [1, ""]},
            "localPosition": [0],
            "opacity": 0.75,
            "name": "zarr",
        },
    ],
    "showSlices": False,
    "showAxisLines": False,
    "selectedLayer": {"visible": True, "layer": "neurons"},
    "layout": {"type": "xy-3d", "orthographicProjection": True},
}

# -- WEBKNOSSOS
DATASOURCE: dict[str, Any] = {
    "id": {"name": "cortex", "team": "lab"},
    "scale": {"factor": [11.24, 11.24, 28.0], "unit": "nanometer"},
    "dataLayers": [
        {
            "name": "color",
            "category": "color",
            "boundingBox": {"topLeft": [64, 32, 96], "width": 190, "height": 180, "depth": 170},
            "elementClass": "uint24",
            "numChannels": 3,
            "dataFormat": "zarr3",
            "mags": [{"mag": [1, 1, 1], "path": "./color/1", "axisOrder": {"c": 0, "x": 1, "y": 2, "z": 3}}],
            "coordinateTransformations": [
                {
                    "type": "affine",
                    "matrix": [[1.0, 0.0, 0.0, 5.0], [0.0, 2.0, 0.0, 6.0], [0.5, 0.0, 1.0, 7.0], [0.0, 0.0, 0.0, 1.0]],
                },
                {
                    "type": "thin_plate_spline",
                    "correspondences": {
                        "source": [[0.0, 0.0, 0.0], [9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0], [9.0, 9.0, 8.0]],
                        "target": [[0.0, 0.0, 0.0], [9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0], [9.0, 8.0, 8.0]],
                    },
                },
            ],
            "defaultViewConfiguration": {
                "color": [255, 0, 16],
                "alpha": 40,
                "intensityRange": [3, 200],
                "min": 0,
                "max": 255,
                "isDisabled": True,
                "isInverted": True,
                "isInEditMode": True,
            },
        },
        {
            "name": "segmentation",
            "category": "segmentation",
            "boundingBox": {"topLeft": [0, 0, 0], "width": 192, "height": 192, "depth": 160},
            "elementClass": "uint32",
            "numChannels": 1,
            "dataFormat": "wkw",
            "mags": [{"mag": [1, 1, 1], "path": "./segmentation/1", "cubeLength": 128}],
            "largestSegmentId": 14030,
            "mappings": ["agglomerates"],
            "attachments": {
                "meshes": [{"name": "fine", "path": "./segmentation/meshes/fine", "dataFormat": "zarr3"}],
                "agglomerates": [{"name": "v5", "path": "./segmentation/agglomerates/v5", "dataFormat": "hdf5"}],
                "segmentIndex": {"name": "index", "path": "./segmentation/index", "dataFormat": "zarr3"},
            },
        },
    ],
    "defaultViewConfiguration": {"fourBit": True, "zoom": 1.3, "position": [10, 20, 31], "rotation": [0, 90, 0]},
    "version": 1,
}

# -- collections
COLLECTION: dict[str, Any] = {
    "ome": {
        "version": "0.x",
        "type": "collection",
        "name": "Tiles",
        "id": "tiles",
        "nodes": [
            {
                "type": "multiscale",
                "id": "tile_0",
                "name": "Tile 0",
                "path": {"type": "zarr", "path": "./tile_0.zarr"},
                "attributes": {"lab:settings": {"isDisabled": True}},
            },
            {
                "type": "multiscale",
                "id": "tile_1",
                "name": "Tile 1",
                "path": {"type": "lab:s3", "path": "s3://bucket/tile_1.zarr"},
            },
            {
                "type": "collection",
                "name": "derived",
                "nodes": [
                    {
                        "type": "multiscale",
                        "name": "nuclei",
                        "nodes": [
                            {"type": "singlescale", "id": "n0", "name": "n0", "path": {"type": "zarr", "path": "./n/0"}}
                        ],
                        "attributes": {
                            "labels": {
                                "source": [{"id": "tile_0"}],
                                "labelAttributes": [{"labelValue": 1, "color": [255, 0, 0, 255]}],
                            },
                            "coordinateSystems": [{"id": "physical", "axes": []}],
                        },
                    },
                    {"type": "lab:notes", "name": "notes", "path": {"type": "json", "path": "./notes.json"}},
                ],
            },
        ],
        "attributes": {
            "mobie:grid": "true",
            "scene": {
                "coordinateSystems": [
                    {
                        "id": "world",
                        "axes": [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"],
                    },
                    {"id": "atlas", "name": "An atlas", "axes": [{"name": n, "type": "space"} for n in "zyx"]},
                ],
                "coordinateTransformations": [
                    {
                        "type": "translation",
                        "translation": [0.0, 0.0, 100.0],
                        "input": {"path": {"type": "zarr", "path": "./tile_0.zarr"}, "id": "physical"},
                        "output": {"id": "world"},
                    },
                    {
                        "type": "scale",
                        "scale": [2.0, 2.0, 2.0],
                        "input": {"id": "world"},
                        "output": {"id": "atlas"},
                    },
                ],
            },
        },
    }
}
EXAMPLE: dict[str, Any] = {
    "zarr_format": 3,
    "node_type": "group",
    "attributes": {
        "ome": {
            "version": "0.7",
            "node_type": "collection",
            "name": "cortex",
            "attributes": {
                "webknossos:rendering": {
                    "position": {"x": 2850, "y": 4318, "z": 1770},
                    "zoom": 1.3,
                    "voxel_size": {"factor": [11.0, 12.0, 28.0], "unit": "nanometer"},
                }
            },
            "nodes": [
                {
                    "node_type": "image",
                    "name": "color",
                    "attributes": {
                        "webknossos:category": "color",
                        "webknossos:bounding_box": {
                            "topleft": {"x": 128, "y": 129, "z": 130},
                            "size": {"x": 5445, "y": 8380, "z": 3285},
                        },
                        "webknossos:data_type": "uint8",
                        "webknossos:rendering": {"is_disabled": True},
                    },
                    "path": "/absolute/color",
                },
                {
                    "node_type": "image",
                    "name": "segmentation",
                    "attributes": {"webknossos:category": "segmentation", "webknossos:values": {"max": 100000}},
                    "multiscales": [{"axes": [], "datasets": [{"path": "./segmentation/1"}]}],
                },
                {
                    "node_type": "webknossos:mesh",
                    "name": "meshfile_4-4-2",
                    "path": "./segmentation/meshes/meshfile_4-4-2",
                    "attributes": {"webknossos:parent": "segmentation"},
                },
                {
                    "node_type": "webknossos:connectome",
                    "name": "connectome",
                    "path": "./segmentation/connectomes/c",
                    "attributes": {"webknossos:parent": "segmentation"},
                },
            ],
        }
    },
}
SLIDE: dict[str, Any] = {
    "attributes": {
        "https://ngff.openmicroscopy.org/0.6": {
            "collection": {
                "name": "tomo",
                "members": [
                    {
                        "path": "./raw",
                        "name": "raw",
                        "attributes": {"rendering": {"min": 10, "max": 90, "inverted": True, "disabled": False}},
                    },
                    {
                        "type": "image",
                        "path": "./prediction",
                        "name": "prediction",
                        "attributes": {"rendering": {"disabled": True}},
                    },
                    {"type": "collection", "path": "./others", "name": "others"},
                ],
                "attributes": {"rendering": {"position": [1, 2, 3], "zoom": 2}},
            }
        }
    }
}

# -- BigDataViewer
SPIM = b"""<?xml version="1.0" encoding="UTF-8"?>
<SpimData version="0.2">
  <BasePath type="relative">.</BasePath>
  <SequenceDescription>
    <ImageLoader format="bdv.n5" version="1.0">
      <n5 type="relative">dataset.n5</n5>
    </ImageLoader>
    <ViewSetups>
      <ViewSetup>
        <id>3</id>
        <name>left</name>
        <size>48 40 24</size>
        <voxelSize>
          <unit>micrometer</unit>
          <size>0.5 0.5 2.0</size>
        </voxelSize>
        <attributes>
          <channel>0</channel>
          <angle>1</angle>
        </attributes>
      </ViewSetup>
      <ViewSetup>
        <id>7</id>
        <name>right &lt;2&gt;</name>
        <size>50 41 24</size>
        <voxelSize>
          <unit>micrometer</unit>
          <size>0.5 0.5 2.0</size>
        </voxelSize>
      </ViewSetup>
      <Attributes name="channel">
        <Channel>
          <id>0</id>
          <name>GFP</name>
        </Channel>
      </Attributes>
    </ViewSetups>
    <Timepoints type="pattern">
      <integerpattern>0-1,4</integerpattern>
    </Timepoints>
    <MissingViews>
      <MissingView timepoint="4" setup="7"/>
    </MissingViews>
  </SequenceDescription>
  <ViewRegistrations>
    <ViewRegistration timepoint="0" setup="3">
      <ViewTransform type="affine">
        <Name>registration</Name>
        <affine>0.0 -1.0 0.0 7.0 1.0 0.0 0.0 8.0 0.0 0.0 1.0 9.0</affine>
      </ViewTransform>
      <ViewTransform type="affine">
        <Name>calibration</Name>
        <affine>0.5 0.0 0.0 0.0 0.0 0.5 0.0 0.0 0.0 0.0 2.0 0.0</affine>
      </ViewTransform>
    </ViewRegistration>
    <ViewRegistration timepoint="1" setup="3">
      <ViewTransform type="affine">
        <affine>0.5 0.0 0.0 1.0 0.0 0.5 0.0 0.0 0.0 0.0 2.0 0.0</affine>
      </ViewTransform>
    </ViewRegistration>
    <ViewRegistration timepoint="0" setup="7">
      <ViewTransform type="affine">
        <affine>0.5 0.0 0.0 20.0 0.0 0.5 0.0 0.0 0.0 0.0 2.0 0.0</affine>
      </ViewTransform>
    </ViewRegistration>
    <ViewRegistration timepoint="1" setup="7">
      <ViewTransform type="affine">
        <affine>0.5 0.0 0.0 20.0 0.0 0.5 0.0 0.0 0.0 0.0 2.0 0.0</affine>
      </ViewTransform>
    </ViewRegistration>
    <ViewRegistration timepoint="0" setup="9">
      <ViewTransform type="affine">
        <affine>1.0 0.0 0.0 0.0 0.0 1.0 0.0 0.0 0.0 0.0 1.0 0.0</affine>
      </ViewTransform>
    </ViewRegistration>
  </ViewRegistrations>
  <BoundingBoxes>
    <BoundingBoxDefinition name="all">
      <min>0 0 0</min>
      <max>9 9 9</max>
    </BoundingBoxDefinition>
  </BoundingBoxes>
</SpimData>
"""

_ALL = {
    "openorganelle": {"manifest.json": MANIFEST},
    "mobie": PROJECT,
    "neuroglancer": {"state.json": STATE},
    "webknossos": {"datasource-properties.json": DATASOURCE},
    "collections": {"collection.json": COLLECTION},
}


def raw(documents: dict[str, Any]) -> dict[str, bytes]:
    return {k: v if isinstance(v, bytes) else json.dumps(v).encode() for k, v in documents.items()}


DOCUMENTS: dict[str, dict[str, bytes]] = {name: raw(docs) for name, docs in _ALL.items()} | {
    "bdv": {"dataset.xml": SPIM}
}


@pytest.fixture
def manifest() -> dict[str, Any]:
    return copy.deepcopy(MANIFEST)


@pytest.fixture
def project() -> dict[str, Any]:
    return copy.deepcopy(PROJECT)


@pytest.fixture
def state() -> dict[str, Any]:
    return copy.deepcopy(STATE)


@pytest.fixture
def datasource() -> dict[str, Any]:
    return copy.deepcopy(DATASOURCE)


@pytest.fixture
def collection() -> dict[str, Any]:
    return copy.deepcopy(COLLECTION)


@pytest.fixture(scope="session")
def documents() -> dict[str, dict[str, bytes]]:
    return {k: dict(v) for k, v in DOCUMENTS.items()}


@pytest.fixture
def example() -> dict[str, Any]:
    return copy.deepcopy(EXAMPLE)


@pytest.fixture
def slide() -> dict[str, Any]:
    return copy.deepcopy(SLIDE)


@pytest.fixture(scope="session")
def seeds() -> list[tuple[str, str, Any]]:
    """Return (dialect, name of the document, content) of every JSON document."""
    found = [
        (name, key, json.loads(text)) for name, docs in DOCUMENTS.items() if name != "bdv" for key, text in docs.items()
    ]
    return [*found, ("collections", "zarr.json", EXAMPLE), ("collections", "zarr.json", SLIDE)]
