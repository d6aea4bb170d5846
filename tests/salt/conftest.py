import pytest

from tests.easy_tiles import easy_tiles


@pytest.fixture(scope="session")
def tiles():
    """24 easy labelled tiles; not to be changed."""
    return easy_tiles(24)
