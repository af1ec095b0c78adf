"""Rules about datasets and grants to visitors: what is private is so however it is spelled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.errors import InputError
from voxarium.serve.access import SCOPES, Grants, Rules, Visitor, answering, leads_to, may, may_see, place_of

NAMES = st.lists(st.sampled_from(["lab", "em", "Em", "x.h5", "é", "0"]), min_size=1, max_size=4).map("/".join)


def test_without_access_control_everything_may_be_seen():
    assert may_see("lab/em") and may("*", "admin") and leads_to("anything")


def test_the_closest_rule_holds():
    rules = Rules(public=True, datasets={"lab/new": False, "lab/new/shown": True})
    assert [rules.public(a) for a in ("lab", "lab/new", "lab/newer", "lab/new/x", "lab/new/shown/0", "*")] == [
        True, False, True, False, True, False,
    ]  # fmt: skip
    assert rules.leads("lab/new") and rules.leads("lab") and not rules.leads("lab/new/x")


@pytest.mark.parametrize(
    "spelled",
    ["lab/SECRET/0", "lab/secret::/0", "lab//secret/", "/lab/secret", "LAB/secret", "lab::/secret", "lab/ſecret"],
)
def test_what_is_private_is_so_in_all_spellings(spelled):
    assert not Rules(public=True, datasets={"lab/secret": False}).public(spelled)


def test_composed_and_decomposed_letters_are_one_name():
    rules = Rules(public=True, datasets={"lab/caf\u00e9": False})
    assert not rules.public("lab/cafe\u0301/x")


def test_public_rules_and_grants_hold_as_they_are_spelled():
    visitor = Visitor(rules=Rules(public=False, datasets={"lab/open": True}), grants=Grants.of([("read", "lab/mine")]))
    assert visitor.may("lab/open/x") and visitor.may("lab/mine::/0")
    assert not visitor.may("lab/OPEN/x") and not visitor.may("lab/Mine") and not visitor.may("lab")
    assert visitor.leads_to("lab") and not visitor.leads_to("lab/other")


def test_a_part_of_a_public_file_cannot_be_private():
    with pytest.raises(InputError, match="part of a file"):
        Rules(datasets={"lab/x.h5::/em": False})
    shared = Visitor(rules=Rules(public=False), grants=Grants.of([("read", "lab/x.h5::/em")]))
    assert shared.may("lab/x.h5::/em/0") and not shared.may("lab/x.h5") and not shared.may("lab/x.h5::/other")


def test_scopes_include_those_before():
    for i, held in enumerate(SCOPES):
        grants = Grants.of([(held, "lab")])
        assert [grants.include("lab/x", s) for s in SCOPES] == [j <= i for j in range(len(SCOPES))]
    with pytest.raises(InputError, match="no scope"):
        Grants.of([("root", "*")])


def test_public_datasets_are_read_and_nothing_more():
    visitor = Visitor(rules=Rules(public=True))
    assert visitor.may("lab") and visitor.may("*") and not visitor.may("lab", "annotate")


@given(NAMES, NAMES)
def test_nothing_beside_a_grant_may_be_seen(granted, asked):
    visitor = Visitor(rules=Rules(public=False), grants=Grants.of([("read", granted)]))
    with answering(visitor):
        assert may_see(asked) == (asked == granted or asked.startswith(f"{granted}/"))
        assert leads_to(asked) == (may_see(asked) or granted.startswith(f"{asked}/"))
    assert may_see(asked)


@given(st.text(max_size=30))
def test_places_are_the_same_when_they_are_taken_twice(text):
    assert place_of(place_of(text)) == place_of(text) or ":" in text or text == "*"
