"""Where a text of calls begins an argument that nobody spoke of."""

from __future__ import annotations

import pytest

from lora_agent.structured.leaning import DOUBT, Leaning

CALL = '{"calls":[{"name":"t","arguments":{'
LEANING = Leaning(
    '{"calls":[]', 1.5, {"t": ["a", "unit", "until"], "u": ["unit"]}, {"t": {"unit", "until"}, "u": set()}
)


@pytest.mark.parametrize(
    ("written", "piece", "nats"),
    [
        ("", '{"calls":[', 1.5),
        ('{"calls":[', "]", 1.5),
        ('{"calls":[', '{"', 0),
        (CALL, '"a', 0),
        (CALL, '"u', -DOUBT),
        (CALL + '"a":1', "}", 0),
        (CALL + '"a":1', ",", -DOUBT),
        (CALL + '"a":1,', '"u', 0),  # it was doubtful before
        (CALL + '"a":"x', ',"unit', 0),  # within a text
        (CALL + '"a":{"b":1', ',"u', 0),  # within an object
        (CALL + '"a":1}},{"name":"t","arguments":{', '"unit":', 0),  # its value is being written
        (CALL + '"a":1}},{"name":"t","arguments":{', '"unti', -DOUBT),
        ('{"calls":[{"name":"u","arguments":{', '"unit', 0),
    ],
)
def test_nats_are_added_once_where_the_choice_is_made(written: str, piece: str, nats: float) -> None:
    assert LEANING.weigh(written, [piece]) == [nats]


def test_a_name_that_may_still_be_another_is_not_doubted() -> None:
    leaning = Leaning(parameters={"t": ["unit", "until"]}, doubtful={"t": {"unit"}})
    assert leaning.weigh(CALL + '"un', ["i", "t"]) == [-DOUBT, 0]
    assert leaning.weigh(CALL, ['"un']) == [0]
