import pytest

from salt.report import rendering


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (0.012, "0.012"), (0.001, "0.001"), (5e-5, "5 × 10⁻⁵"), (6.25e-6, "6.25 × 10⁻⁶")]
)
def test_small_rates_are_powers_of_ten(value, shown):
    assert rendering.rate(value).replace("\N{NO-BREAK SPACE}", " ") == shown


def test_scores_have_four_decimals_and_missing_ones_a_dash():
    assert (rendering.score(0.87654321), rendering.score(float("nan"))) == ("0.8765", "–")
    assert (rendering.percent(0.5), rendering.percent(float("nan"))) == ("50.0 %", "–")
