import zipfile

import pytest

from salt.scores.differences import interval


@pytest.fixture
def card(packed):
    with zipfile.ZipFile(packed) as opened:
        return opened.read("MODEL_CARD.md").decode()


def test_the_card_tells_what_the_ensemble_is_and_how_to_use_it(card):
    assert "# Model card: final of the run small" in card
    assert "make predict PACK=small.pack.zip IMAGES=path/to/images" in card
    assert "An ensemble of 8 networks" in card
    assert "| one | unet_plain | 32 px, grey, a vertical ramp, and their product | 2 | 1 |" in card
    assert "| two | unet on tu-test_resnet | 32 px," in card


def test_the_card_tells_what_it_was_trained_on(card):
    assert "The images at `data/small`" in card
    assert "- 12 labelled tiles; on average " in card
    assert "- 6 tiles without labels" in card
    assert "Folds: 2, by coverage. Seed: 5." in card
    assert "torch 2." in card


def test_the_card_gives_scores_with_intervals_and_what_the_labels_are(card):
    low, high = interval([0.1 * row for row in range(8)])[1:]
    assert f"| one | out of fold | 0.3500 | {low:.4f} to {high:.4f} | 8 |" in card
    assert "| final | out of fold | 0.6000 | 0.6000 to 0.6000 | 8 |" in card
    assert "*out of fold*: cross-validated on the labelled tiles" in card
    assert "hidden" not in card
    assert "float16" not in card


def test_the_card_says_what_it_is_not_for(card):
    text = card[card.index("## What it is not for") :]
    assert "another instrument" in text
    assert "It takes no depths" in text


def test_the_card_has_no_gaps_in_tables_and_no_rows_of_empty_lines(card):
    assert "\n\n\n" not in card
    assert "|\n\n|" not in card
