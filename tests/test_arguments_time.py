from __future__ import annotations

from fractions import Fraction

import pytest

from vidrestore.arguments import parse_cfr, parse_framerate, parse_rate, parse_slow
from vidrestore.errors import UsageError
from vidrestore.media.timeline import Rate


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("60", Fraction(60)),
        ("60.", Fraction(60)),
        ("60.0", Fraction(60)),
        ("59.94", Fraction(60000, 1001)),
        ("59.9401", Fraction(60000, 1001)),
        ("23.976", Fraction(24000, 1001)),
        ("23.97", Fraction(24000, 1001)),
        ("23.98", Fraction(24000, 1001)),
        ("29.97", Fraction(30000, 1001)),
        ("47.952", Fraction(48000, 1001)),
        ("119.88", Fraction(120000, 1001)),
        ("14.985", Fraction(15000, 1001)),
        ("30000/1001", Fraction(30000, 1001)),
        ("12.5", Fraction(25, 2)),
        ("59.9", Fraction(599, 10)),
        ("24.975", Fraction(999, 40)),
        ("0.1", Fraction(1, 10)),
        ("1000", Fraction(1000)),
    ],
)
def test_rates(text: str, expected: Fraction) -> None:
    assert parse_rate(text, "--fps") == Rate(expected)
    assert parse_cfr(text) == parse_framerate(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2x", 2), ("2.5x", Fraction(5, 2)), ("64X", 64), (".5x", Fraction(1, 2))],
)
def test_multiples(text: str, expected: Fraction) -> None:
    assert parse_rate(text, "--fps") == Rate(Fraction(expected), relative=True)


NO_RATES = [
    *["0", "0.0", "-5", "nan", "inf", "", " 60", "fast", "1e6", "10^6", "1000000", "1001"],
    *["0.0001", "60/0", "60/", "0/1", "0x", "-2x", "65x", "x", "nanx", "2xx", "\uff16\uff10"],
    "9" * 5000,
]


@pytest.mark.parametrize("text", NO_RATES)
def test_what_is_no_rate_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(UsageError, match="--fps") as raised:
        parse_rate(text, "--fps")
    assert "such as" in str(raised.value.hint)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "2x", "1e3", "1000000"])
def test_a_constant_rate_is_no_multiple(text: str) -> None:
    with pytest.raises(UsageError, match="--cfr"):
        parse_cfr(text)


def test_slow_motion() -> None:
    assert parse_slow("4x") == parse_slow("4") == 4
    assert parse_slow("2.5x") == Fraction(5, 2)
    assert parse_slow(None) == 1
    for text in ("0", "1x", "0.5x", "-4x", "65x", "nan", "slow", "x"):
        with pytest.raises(UsageError, match="--slow") as raised:
            parse_slow(text)
        assert "64" in str(raised.value.hint)


def test_nothing_given_is_nothing_asked() -> None:
    assert parse_rate(None, "--fps") is None
    assert parse_cfr(None) is None
