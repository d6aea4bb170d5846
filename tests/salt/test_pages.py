import pytest

from salt import pages


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (0.012, "0.012"), (0.001, "0.001"), (5e-5, "5 × 10⁻⁵"), (6.25e-6, "6.25 × 10⁻⁶")]
)
def test_small_rates_are_powers_of_ten(value, shown):
    assert pages.rate(value).replace("\N{NO-BREAK SPACE}", " ") == shown


def test_scores_have_four_decimals_and_missing_ones_a_dash():
    assert (pages.score(0.87654321), pages.score(float("nan"))) == ("0.8765", "–")
    assert (pages.percent(0.5), pages.percent(float("nan"))) == ("50.0 %", "–")
