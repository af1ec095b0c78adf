"""Entries and payloads as bytes: what is written, what is refused."""

from __future__ import annotations

import json
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.errors import FormatError, InputError, VoxariumError
from voxarium.model.canonical_json import dump_canonical
from voxarium.model.provenance import Activity, Agent, Artifact, plain_parameters, public_address
from voxarium.spec.provenance import (
    MOST_LINE,
    Entry,
    Payload,
    Removal,
    activity_of,
    commitment,
    dump_entry,
    dump_payloads,
    parse_entry,
    parse_payloads,
    payload_values,
    split_segment,
)

HEX = "0123456789abcdef"
IDS = st.text(HEX, min_size=32, max_size=32)
HASHES = st.text(HEX, min_size=64, max_size=64)
NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,10}", fullmatch=True)


@st.composite
def entries(draw):
    sequence = draw(st.integers(0, 2**53 - 1))
    log = draw(IDS)
    removal = None
    if sequence and draw(st.booleans()):
        removal = Removal(draw(st.integers(0, sequence - 1)), tuple(draw(st.lists(NAMES, min_size=1, max_size=3))))
    return Entry(
        log=log,
        sequence=sequence,
        time=draw(st.datetimes()).replace(microsecond=123000).isoformat(timespec="milliseconds") + "Z",
        operation=draw(st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)),
        write_id=draw(IDS) if sequence else log,
        previous=draw(HASHES) if sequence else "",
        payloads=draw(st.dictionaries(NAMES, HASHES, max_size=4)),
        removal=removal,
        extra=draw(st.dictionaries(st.text("XYZ", min_size=1), st.integers(0, 9), max_size=2)),
    )


ENTRY = Entry(
    log="00" * 16,
    sequence=0,
    time="2026-11-26T03:29:02.123Z",
    operation="ingest",
    write_id="00" * 16,
    payloads={"note": "ab" * 32},
)


@given(entries())
def test_entries_come_back(entry):
    line = dump_entry(entry)
    assert b"\n" not in line
    assert parse_entry(line, "it") == entry


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", "x"),
        ("version", 2),
        ("version", True),
        ("log", "0" * 31),
        ("log", "AB" * 16),
        ("log", "11" * 16),
        ("sequence", -1),
        ("sequence", 1),
        ("sequence", 1.5),
        ("time", "2026-13-26T03:29:02.123Z"),
        ("time", "2026-11-26T03:29:02Z"),
        ("time", "٢026-11-26T03:29:02.123Z"),
        ("operation", "Ingest"),
        ("operation", "a" * 65),
        ("previous", "ab" * 32),
        ("previous", 5),
        ("payloads", {"note": "ab"}),
        ("payloads", {"../x": "ab" * 32}),
        ("payloads", []),
        ("removes", {"sequence": 0, "payloads": ["note"]}),
        ("removes", None),
        ("write_id", None),
    ],
)
def test_malformed_entries_are_refused(field, value):
    document = json.loads(dump_entry(ENTRY)) | {field: value}
    with pytest.raises(FormatError):
        parse_entry(dump_canonical(document), "it")
    del document[field]
    with pytest.raises(FormatError):
        parse_entry(dump_canonical(document) if field != "removes" else b"{}", "it")


def test_other_spellings_of_an_entry_are_refused():
    line = dump_entry(ENTRY)
    for other in (line + b"\n", b" " + line, line.replace(b":0,", b":0.0,"), json.dumps(json.loads(line)).encode()):
        with pytest.raises(FormatError, match="canonical"):
            parse_entry(other, "it")


def test_lines_and_segments_are_bounded():
    with pytest.raises(InputError, match="bytes"):
        dump_entry(
            Entry(
                log="00" * 16,
                sequence=0,
                time=ENTRY.time,
                operation="fix",
                write_id="00" * 16,
                extra={"x": "y" * MOST_LINE},
            )
        )
    with pytest.raises(FormatError, match="bytes"):
        parse_entry(b'"' + b"a" * MOST_LINE + b'"', "it")
    with pytest.raises(FormatError, match="longer"):
        split_segment(b"a" * (MOST_LINE + 1) + b"\n", "it")
    with pytest.raises(FormatError, match="cut off"):
        split_segment(b"{}\n{}", "it")
    assert split_segment(b"{}\n[]\n", "it") == [b"{}", b"[]"]


@given(st.text(max_size=9), st.binary(min_size=32, max_size=32))
def test_a_commitment_is_the_hash_of_name_salt_and_value(note, salt):
    plain = dump_canonical({"name": "note", "salt": salt.hex(), "value": note})
    assert commitment("note", Payload(salt.hex(), note)) == sha256(plain).hexdigest()
    assert commitment("agent", Payload(salt.hex(), note)) != commitment("note", Payload(salt.hex(), note))


ACTIVITY = Activity(
    operation="convert",
    inputs=[Artifact("s3://bucket/raw.tif", "sha256:" + "ab" * 32, 17), Artifact("notes.txt", role="log book")],
    outputs=[Artifact("em/fibsem-uint8", "voxarium-logical-1:" + "cd" * 32)],
    parameters={"factors": [1, 2, 2], "codec": {"name": "zstd", "level": 3}, "lossy": False},
    software={"voxarium": "0.1", "numpy": "2.4.6"},
    agent=Agent("Ada Lovelace", "person", "https://orcid.org/0000-0000-0000-0000"),
    note="for the paper\nas agreed µ",
)


def test_activities_come_back_from_their_payloads():
    payloads = {name: Payload("00" * 32, value) for name, value in payload_values(ACTIVITY).items()}
    assert set(payloads) == {"agent", "inputs", "note", "outputs", "parameters", "software"}
    again = parse_payloads(dump_payloads("00" * 16, payloads), "it")
    assert activity_of("convert", {n: p.value for n, p in again.items()}, "it") == ACTIVITY
    assert payload_values(Activity(operation="audit")) == {}
    assert activity_of("audit", {}, "it") == Activity(operation="audit")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("agent", None),
        ("agent", {"name": "", "kind": "person"}),
        ("agent", {"name": "x", "kind": "alien"}),
        ("inputs", {}),
        ("inputs", [1]),
        ("outputs", [{}]),
        ("outputs", [{"address": ""}]),
        ("outputs", [{"address": "x", "digest": "junk"}]),
        ("outputs", [{"address": "x", "size": -1}]),
        ("outputs", [{"address": "x", "size": 2**62}]),
        ("outputs", [{"address": "x"}] * 100_001),
        ("parameters", []),
        ("software", {"numpy": 2}),
        ("note", 5),
    ],
)
def test_details_that_are_not_what_they_should_be_are_refused(name, value):
    with pytest.raises(FormatError):
        activity_of("fix", {name: value}, "it")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda v: (
            st.lists(v, max_size=3)
            | st.dictionaries(
                st.sampled_from(["agent", "inputs", "name", "kind", "address", "payloads", "format", "salt"]),
                v,
                max_size=4,
            )
        ),
    )
)
def test_junk_gives_nothing_but_our_errors(value):
    for call in (
        lambda: activity_of("fix", value if isinstance(value, dict) else {"inputs": value}, "it"),
        lambda: parse_entry(dump_canonical(value), "it"),
        lambda: parse_payloads(dump_canonical(value), "it"),
    ):
        try:
            call()
        except (FormatError, InputError):
            continue


@pytest.mark.parametrize(
    ("given_", "shown"),
    [
        ("https://me:pw@example.org:80/a/b.zarr?X-Amz-Signature=1#f", "https://example.org:80/a/b.zarr"),
        ("s3://key:secret@bucket/a::/b?token=1", "s3://bucket/a::/b"),
        ("https://[::1/x?token=1", None),
        ("em/s0#1", "em/s0#1"),
    ],
)
def test_addresses_hold_no_secrets(given_, shown):
    found = public_address(given_)
    assert "token" not in found and "secret" not in found
    assert shown is None or found == shown == Artifact(given_).address


def test_parameters_become_json_without_secrets(tmp_path):
    found = plain_parameters(
        {
            "path": tmp_path,
            "shape": np.array([3, 5]),
            "level": np.int64(7),
            "fill": float("inf"),
            "seed": 2**60,
            "source": "https://me:pw@host/x?sig=1",
            "set": {"b", "a"},
            3: (np.float32(0.5), True),
        }
    )
    assert json.loads(dump_canonical(found)) == {
        "path": str(tmp_path),
        "shape": [3, 5],
        "level": 7,
        "fill": "Infinity",
        "seed": str(2**60),
        "source": "https://host/x",
        "set": ["a", "b"],
        "3": [0.5, True],
    }
    options = {"config": {"access_key_id": "AK", "Secret": "s", "region": "eu"}, "sas": "x", "token": "", "sasha": 1}
    assert plain_parameters(options) == {
        "config": {"access_key_id": "(not recorded)", "Secret": "(not recorded)", "region": "eu"},
        "sas": "(not recorded)",
        "token": "",
        "sasha": 1,
    }
    deep: list[object] = []
    deep.append(deep)
    dump_canonical(plain_parameters(deep))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Activity(operation="Convert"),
        lambda: Activity(operation=""),
        lambda: Agent(" "),
        lambda: Agent("x", "alien"),
        lambda: Artifact(""),
        lambda: Artifact("x", "md5"),
        lambda: Artifact("x", size=-1),
    ],
)
def test_senseless_activities_are_refused(make):
    with pytest.raises(VoxariumError):
        make()
