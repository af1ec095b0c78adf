"""What a query chooses, and that its address says all of it."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.view.portal.catalogue import FACETS, SORTS, Query, Summary, choose
from voxarium.view.portal.words import identifier_link, licence_link, safe_link, shown_address


def summary(name, **known):
    text = " ".join([name, *known.get("organism", ()), known.pop("more", "")]).lower()
    return Summary(name=name, href=f"datasets/{name}", cover="", title=known.pop("title", name), text=text, **known)


ALL = [
    summary("cortex", organism=("Mus musculus",), modality=("FIB-SEM",), format=("ome-zarr",), license=("CC-BY-4.0",),
            voxel=8.0, nbytes=300, published="2026-01-02T00:00:00.000Z", more="Ada Lovelace layer 4"),
    summary("lobe", organism=("Drosophila",), modality=("FIB-SEM",), format=("precomputed", "n5"), voxel=4.0,
            nbytes=900),
    summary("fish", title="A fish", organism=("Danio rerio",), modality=("LM",), format=("ome-zarr",), voxel=650.0,
            license=("CC0-1.0",), nbytes=100, published="2026-03-01T00:00:00.000Z"),
    summary("scan", format=("hdf5",), nbytes=200),
]  # fmt: skip


def names(**asked):
    return [s.name for s in choose(ALL, Query(**asked)).items]


def test_all_words_have_to_occur_in_any_case():
    assert names(words="ADA layer") == ["cortex"] and names(words="ada fish") == [] and len(names()) == 4


def test_values_of_one_facet_widen_and_facets_narrow():
    assert names(facets={"organism": ("Drosophila", "Danio rerio")}) == ["fish", "lobe"]
    assert names(facets={"organism": ("Drosophila", "Danio rerio"), "modality": ("LM",)}) == ["fish"]
    assert names(facets={"format": ("n5",)}) == ["lobe"]


def test_sizes_of_voxels_have_bounds_that_belong_to_the_range():
    assert names(voxel_min=4, voxel_max=8) == ["cortex", "lobe"]
    assert names(voxel_max=4) == ["lobe"] and names(voxel_min=8.1) == ["fish"]


@pytest.mark.parametrize(
    ("sort", "wanted"),
    [
        ("name", ["fish", "cortex", "lobe", "scan"]),
        ("newest", ["fish", "cortex", "lobe", "scan"]),
        ("finest", ["lobe", "cortex", "fish", "scan"]),
        ("largest", ["lobe", "cortex", "scan", "fish"]),
    ],
)
def test_datasets_are_sorted_and_those_of_which_nothing_is_known_come_last(sort, wanted):
    assert names(sort=sort) == wanted


def test_counts_say_what_another_value_would_add():
    counts = choose(ALL, Query(facets={"organism": ("Mus musculus",)})).counts
    assert dict(counts["organism"]) == {"Mus musculus": 1, "Drosophila": 1, "Danio rerio": 1}
    assert dict(counts["modality"]) == {"FIB-SEM": 1}
    assert ("Nothing", 0) in choose(ALL, Query(facets={"organism": ("Nothing",)})).counts["organism"]


def test_a_page_beyond_the_last_is_the_last():
    chosen = choose(ALL, Query(page=9), size=3)
    assert (chosen.page, chosen.pages, len(chosen.items), chosen.total) == (2, 2, 1, 4)


texts = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20)


@given(
    st.builds(
        Query,
        words=texts.map(lambda t: " ".join(t.split())),
        facets=st.dictionaries(st.sampled_from(sorted(FACETS)), st.lists(texts, min_size=1, unique=True).map(tuple)),
        voxel_min=st.none() | st.integers(0, 99999).map(float),
        voxel_max=st.none() | st.integers(0, 99999).map(float),
        sort=st.sampled_from(sorted(SORTS)),
        page=st.integers(1, 99999),
    )
)
def test_the_address_of_a_query_says_all_of_it(query):
    assert Query.parse(parse_qsl(query.address().removeprefix("?"), keep_blank_values=True)) == query


@given(st.lists(st.tuples(st.sampled_from(["q", "page", "sort", "voxel_min", "organism", "x"]), st.text(max_size=40))))
def test_any_address_is_a_query(pairs):
    query = Query.parse(pairs)
    assert query.page >= 1 and query.sort in SORTS and (query.voxel_min is None or query.voxel_min >= 0)
    choose(ALL, query)
    for text, href in query.chips:
        assert text and href.startswith("?")


@given(st.text(max_size=60))
def test_only_addresses_of_the_web_become_links(text):
    for link in (safe_link(text), identifier_link(text), licence_link(text)):
        assert link == "" or link.startswith(("http://", "https://"))
        assert not set(link) & set("\"'<> \n")
    shown_address(text)


@pytest.mark.parametrize(
    "text", ["javascript:alert(1)", "//evil", "data:text/html,x", "https://a\nb", "https:evil", "ftp://x"]
)
def test_what_is_no_address_of_the_web_is_no_link(text):
    assert safe_link(text) == "" == identifier_link(text) == licence_link(text)
