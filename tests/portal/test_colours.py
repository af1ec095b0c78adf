"""Every text has enough contrast to what it stands on, in light and in dark."""

from __future__ import annotations

import re

import pytest

from voxarium.view.portal.pages import ASSETS, asset_bytes

CSS = asset_bytes("portal.css").decode()
COLOURS = {
    name: (light, dark) for name, light, dark in re.findall(r"--([a-z-]+): light-dark\((#\w{6}), (#\w{6})\)", CSS)
}


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [(t, g) for t in ("ink", "muted", "accent") for g in ("canvas", "paper", "well")]
    + [("on-accent", "accent"), ("accent", "accent-well"), ("good", "good-well"), ("bad", "bad-well"), ("bad", "paper"),
       ("good", "paper")],
)  # fmt: skip
def test_texts_can_be_read(text, ground, scheme):
    assert contrast(COLOURS[text][scheme], COLOURS[ground][scheme]) >= 4.5


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["image", "label", "prediction", "other", "strong-line"])
def test_lines_and_marks_can_be_seen(name, scheme):
    for ground in ("canvas", "paper"):
        assert contrast(COLOURS[name][scheme], COLOURS[ground][scheme]) >= 3


def test_sheets_and_scripts_load_nothing_and_run_no_text():
    for name in ASSETS:
        text = asset_bytes(name).decode()
        assert "://" not in text.replace("http://www.w3.org/2000/svg", ""), name
        assert "@import" not in text and "url(" not in text, name
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
            assert word not in text, (name, word)
    assert sum(len(asset_bytes(n)) for n in ASSETS) < 60_000
