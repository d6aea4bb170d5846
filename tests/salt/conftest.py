import pytest

from tests.easy_tiles import easy_tiles


@pytest.fixture(scope="session")
def tiles():
    """24 easy labelled tiles; tests must not change them."""
    return easy_tiles(24)
