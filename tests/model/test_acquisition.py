"""What microscopes tell survives being carried as JSON, and junk in its place is left out."""

import json

from hypothesis import given
from hypothesis import strategies as st

from voxarium.model.acquisition import (
    Acquisition,
    ChannelFacts,
    ObjectiveFacts,
    PlaneFacts,
    acquisition_of,
    even_step,
    parse_acquisition,
)
from voxarium.model.image import Bag, ChannelDisplay

FULL = Acquisition(
    date="2026-03-04T05:06:07",
    description="a worm",
    instrument="Confocal 9",
    objective=ObjectiveFacts(model="Plan", magnification=63.0, aperture=1.4, immersion="Oil"),
    channels=(
        ChannelFacts(name="GFP", color="00FF00", excitation=488.0, emission=509.5, exposure=0.05, pinhole=80.0),
        ChannelFacts(fluor="DAPI", gain=2.0, extra={"laser": 405}),
    ),
    planes=(
        PlaneFacts(index={"t": 0, "c": 0, "z": 0}, time=0.0, exposure=0.05, position=(1.0, -2.5, None)),
        PlaneFacts(index={"t": 0, "c": 1, "z": 0}, time=1.5),
    ),
    times=(0.0, 1.0, 5.0),
    position=(None, 1.0, 2.0),
    extra={"operator": "somebody"},
)


def test_everything_comes_back_from_json_and_from_a_bag():
    assert parse_acquisition(json.loads(json.dumps(FULL.to_json()))) == FULL
    assert acquisition_of(Bag(extra=json.loads(json.dumps(FULL.carried())))) == FULL
    assert acquisition_of(Bag()) == Acquisition() and Acquisition().carried() == {}


def test_names_and_colours_fill_only_what_is_not_known():
    shown = FULL.displays([ChannelDisplay(label="mine", window=(0, 9))])
    assert [(c.label, c.color, c.window) for c in shown] == [("mine", "00FF00", (0, 9)), ("DAPI", None, None)]
    assert FULL.labels() == ("GFP", "DAPI") and Acquisition(channels=(ChannelFacts(),)).labels() == ()
    assert Acquisition(channels=(ChannelFacts(),)).displays() == ()


def test_only_even_steps_are_steps():
    assert even_step([1.0, 3.0, 5.0]) == 2.0
    assert even_step([3.0, 1.0]) is even_step([1.0]) is even_step([0.0, None]) is even_step([0.0, 1.0, 1.5]) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)
NAMES = st.sampled_from(["channels", "planes", "times", "objective", "position", "date", "axes", "index", "extra"])


@given(st.dictionaries(NAMES, json_values | st.dictionaries(NAMES, json_values)))
def test_junk_is_left_out_and_what_is_read_is_stable(junk):
    found = parse_acquisition(junk)
    assert parse_acquisition(found.to_json()) == found
