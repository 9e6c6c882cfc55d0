"""A card's bars."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from training.plot import bars

SVG = "{http://www.w3.org/2000/svg}"


def test_a_bar_for_each_row_as_long_as_its_share() -> None:
    groups = [[("this <adapter>", 0.5, (0.4, 0.6), 100), ("base", 0.0, (0.0, 0.1), 24)], [("s/a", 1.0, (0.6, 1.0), 7)]]
    root = ET.fromstring(bars(groups))
    widths = [float(rect.attrib["width"]) for rect in root.iter(f"{SVG}rect") if "%" not in rect.attrib["width"]]
    assert len(widths) == 3
    assert widths[0] == widths[2] / 2 > 0 == widths[1]
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert "this <adapter>" in texts
    assert "100% (n = 7)" in texts
    places = [float(rect.attrib["y"]) for rect in root.iter(f"{SVG}rect") if "y" in rect.attrib]
    assert places[2] - places[1] > places[1] - places[0]  # groups are set apart
