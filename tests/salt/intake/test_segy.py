import re
import sys

import numpy as np
import pytest
import segyio

from salt.intake import segy
from schemas.errors import UserError

SAMPLES = 6


def amplitudes(traces, seed=0):
    """Whole numbers, which every SEG-Y format holds, (traces, samples)."""
    return np.random.default_rng(seed).integers(-1000, 1000, (traces, SAMPLES)).astype(np.float32)


def write(path, traces, inlines, crosslines):
    spec = segyio.spec()
    spec.format, spec.samples, spec.tracecount = 5, range(SAMPLES), len(traces)  # format 5: IEEE floats
    with segyio.create(path, spec) as file:
        for number, trace in enumerate(traces):
            file.header[number] = {segy.INLINE: inlines[number], segy.CROSSLINE: crosslines[number]}
            file.trace[number] = trace
    return path


@pytest.mark.parametrize(
    ("inlines", "crosslines"),
    [([0] * 4, [0] * 4), ([7] * 4, range(4)), (range(4), [3] * 4), (range(4), range(4)), ([1, 1, 2, 2], range(4))],
)
def test_a_line_is_one_image_with_samples_down_and_traces_across_whatever_its_headers_say(
    tmp_path, inlines, crosslines
):
    traces = amplitudes(4)
    path = write(tmp_path / "line7.sgy", traces, inlines, crosslines)
    found = segy.images(path)
    assert list(found) == ["line7"]
    pixels = segy.read(path, found["line7"])
    assert pixels.dtype == np.float32
    assert np.array_equal(pixels, traces.T)


def test_a_volume_is_an_image_an_inline_sorted_by_crossline(tmp_path):
    places = [(inline, crossline) for inline in (10, 12, 30) for crossline in (5, 6, 7, 9)]
    places.remove((12, 6))  # volumes have holes
    shuffled = [places[number] for number in np.random.default_rng(1).permutation(len(places))]
    traces = amplitudes(len(places))
    path = write(tmp_path / "cube.segy", traces, *zip(*shuffled, strict=True))
    found = segy.images(path)
    assert list(found) == ["cube_inline10", "cube_inline12", "cube_inline30"]
    for inline, columns in ((10, (5, 6, 7, 9)), (12, (5, 7, 9)), (30, (5, 6, 7, 9))):
        expected = np.stack([traces[shuffled.index((inline, column))] for column in columns], axis=1)
        assert np.array_equal(segy.read(path, found[f"cube_inline{inline}"]), expected)


def test_traces_that_are_not_stacked_are_refused(tmp_path):
    path = write(tmp_path / "raw.sgy", amplitudes(6), [1, 1, 1, 2, 2, 2], [1, 2, 2, 1, 2, 3])
    with pytest.raises(ValueError, match="several traces at inline 1, crossline 2, expected stacked data"):
        segy.images(path)


def test_samples_that_are_no_numbers_are_refused(tmp_path):
    traces = amplitudes(3)
    traces[1, 2] = np.nan
    path = write(tmp_path / "line.sgy", traces, [0] * 3, [0] * 3)
    with pytest.raises(ValueError, match="1 samples that are not numbers"):
        segy.read(path, np.arange(3))


@pytest.mark.parametrize("length", [0, 500, -7])
def test_a_damaged_file_is_reported(tmp_path, length):
    path = write(tmp_path / "line.sgy", amplitudes(3), [0] * 3, [0] * 3)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match="damaged SEG-Y"):
        segy.images(path)


def test_without_segyio_the_command_that_installs_it_is_reported(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "segyio", None)
    with pytest.raises(UserError, match=re.escape("`pip install 'segyio>=1.9.13'`")):
        segy.images(tmp_path / "line.sgy")
