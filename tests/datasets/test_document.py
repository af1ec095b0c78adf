"""dataset.json: what was written is read again, equal documents are equal bytes, junk is refused."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.errors import FormatError, InputError, NotFoundError
from voxarium.model.axes import Axis, CoordinateSystem
from voxarium.spec.dataset_document import (
    MARKER,
    MEMBER_KINDS,
    Alignment,
    DatasetDocument,
    DatasetMember,
    DatasetView,
    Link,
    Person,
    dump_dataset,
    is_dataset,
    parse_dataset,
)

NAMES = st.from_regex(r"[a-zA-Z0-9_\-µ]{1,12}", fullmatch=True)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
EXTRA = st.dictionaries(st.from_regex(r"x_[a-z]{1,5}", fullmatch=True), VALUES, max_size=2)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=2)
LINKS = st.builds(Link, member=PATHS, relation=NAMES, release=TEXTS, digest=TEXTS, extra=EXTRA)
MEMBERS = st.builds(
    DatasetMember,
    name=PATHS,
    path=PATHS,
    kind=st.sampled_from(MEMBER_KINDS),
    role=st.sampled_from(["", "intensity", "label", "prediction"]),
    format=TEXTS,
    description=TEXTS,
    links=st.lists(LINKS, max_size=2).map(tuple),
    system=TEXTS,
    rendering=OBJECTS,
    thumbnail=st.just("") | PATHS,
    extra=EXTRA,
)
AXES = st.builds(Axis, name=NAMES, type=st.just("space"), unit=st.sampled_from([None, "nanometer"]), extra=EXTRA)
SYSTEMS = st.builds(
    CoordinateSystem,
    name=NAMES,
    axes=st.lists(AXES, max_size=3, unique_by=lambda a: a.name).map(tuple),
    extra=EXTRA,
)
MOVES = st.lists(st.floats(-1e9, 1e9), min_size=3, max_size=3).map(lambda v: {"type": "translation", "translation": v})
ALIGNMENTS = st.builds(Alignment, source=NAMES, target=NAMES, transform=MOVES, name=TEXTS, extra=EXTRA)
DOCUMENTS = st.builds(
    DatasetDocument,
    name=NAMES,
    description=TEXTS,
    license=TEXTS,
    authors=st.lists(st.builds(Person, name=NAMES, identifier=TEXTS, affiliation=TEXTS, extra=EXTRA)).map(tuple),
    contact=TEXTS,
    funding=st.lists(OBJECTS, max_size=2).map(tuple),
    identifiers=st.lists(TEXTS, max_size=2).map(tuple),
    specimen=OBJECTS,
    layout=st.sampled_from(["default", "cellmap", "of-somebody"]),
    thumbnail=st.just("") | PATHS,
    members=st.lists(MEMBERS, max_size=4, unique_by=(lambda m: m.name, lambda m: m.path)).map(tuple),
    systems=st.lists(SYSTEMS, max_size=2, unique_by=lambda s: s.name).map(tuple),
    alignments=st.lists(ALIGNMENTS, max_size=2).map(tuple),
    views=st.lists(
        st.builds(DatasetView, name=NAMES, members=st.lists(PATHS, max_size=2).map(tuple), extra=EXTRA), max_size=2
    ).map(tuple),
    extra=EXTRA,
)


@given(DOCUMENTS)
def test_what_was_written_is_read_again(document):
    data = dump_dataset(document)
    assert is_dataset(data)
    assert parse_dataset(data) == document
    assert dump_dataset(parse_dataset(data)) == data


@given(DOCUMENTS, st.data())
def test_one_changed_value_gives_a_document_or_a_format_error(document, data):
    body = json.loads(dump_dataset(document))
    place = body
    while isinstance(place, dict | list) and place:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or data.draw(st.booleans()):
            place[key] = data.draw(VALUES | st.sampled_from([2**62, -1, "../a", "/", "a//b", "a\\b", "\0"]))
            break
        place = place[key]
    with contextlib.suppress(FormatError):
        parse_dataset(json.dumps(body).encode())


@given(st.binary(max_size=200))
def test_junk_is_a_format_error(junk):
    with pytest.raises(FormatError):
        parse_dataset(junk)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"members": [{"name": "a", "path": "../b", "kind": "image"}]}, "is not a key"),
        ({"members": [{"name": "a", "path": "/b", "kind": "image"}]}, "is not a key"),
        ({"members": [{"name": "a", "path": "b.h5::/em", "kind": "image"}]}, "path in the dataset"),
        ({"members": [{"name": "a", "path": "b", "kind": "volume"}]}, "'volume'"),
        ({"members": [{"name": "a", "path": p, "kind": "mesh"} for p in "bc"]}, "two members have the name"),
        ({"thumbnail": "../../secret.png"}, "is not a key"),
        ({"systems": [{"name": "world", "axes": [{"name": "z"}, {"name": "z"}]}]}, "repeats an axis"),
        ({"alignments": [{"source": "a", "target": "b", "transform": {}}]}, "does not say its type"),
        ({MARKER: "2.0"}, "version '2.0'"),
        ({"name": "\x1b[2J"}, "can be printed"),
        ({"a": [[[0]]] and json.loads("[" * 80 + "]" * 80)}, "inside each other"),
    ],
)
def test_what_is_wrong_is_said(change, message):
    body = {MARKER: "1.0", "name": "pinky", **change}
    with pytest.raises(FormatError, match=message):
        parse_dataset(json.dumps(body).encode())


def test_documents_of_other_programs_are_told_apart():
    assert not is_dataset(b'{"is2D": false, "sources": {}, "views": {}}')


LINK = Link(member="em", relation="image")


def _document() -> DatasetDocument:
    return DatasetDocument(
        name="pinky",
        members=(
            DatasetMember(name="em", path="em", kind="image"),
            DatasetMember(
                name="cells", path="labels/cells", kind="label", links=(Link(member="em", relation="image"),)
            ),
        ),
        alignments=(Alignment(source="em", target="atlas", transform={"type": "identity"}),),
        views=(DatasetView(name="soma", members=("em", "cells")),),
    )


def test_members_are_found_by_name_and_path():
    document = _document()
    assert document["labels/cells"] is document["cells"]
    with pytest.raises(NotFoundError, match="no member 'x'"):
        document["x"]


def test_a_new_name_stands_wherever_the_old_one_did():
    renamed = _document().renamed({"em": "raw"}, {"em": "raw.ome.zarr"})
    assert renamed["raw"].path == "raw.ome.zarr"
    assert renamed["cells"].links[0].member == "raw"
    assert renamed.views[0].members == ("raw", "cells")
    assert renamed.alignments[0].source == "raw"


def test_links_to_nothing_are_named_and_nothing_stays_that_names_what_was_taken_out():
    document = _document()
    assert list(document.iter_dangling()) == ["an alignment names atlas, which is neither a system nor a member"]
    assert list(document.without_member("em").iter_dangling()) == []


def test_two_members_never_share_a_path():
    with pytest.raises(InputError, match="is the member em already"):
        _document().with_member(DatasetMember(name="other", path="em", kind="image"))
