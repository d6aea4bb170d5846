"""RLE of 18,000 masks, and scores of 4,000 tiles at 50 thresholds, all 101 x 101. Prints seconds, best of three."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from salt.data import rle
from salt.scores import metric
from salt.survey.survey import make_tiles
from schemas.data import Survey


def seconds(work: Callable[[], Any]) -> float:
    """The shortest of three runs."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Run the benchmarks."""
    masks = np.stack([tile.mask for tile in make_tiles(Survey(), tile=101)])
    many = masks[np.arange(18_000) % len(masks)]
    texts = [rle.encode(mask) for mask in many]
    truth = many[:4000]
    blurred = np.clip(truth + np.random.default_rng(0).normal(0, 0.3, truth.shape), 0, 1).astype(np.float16)
    thresholds = np.arange(1, 51) / 51
    print(f"RLE, encode 18,000 masks      {seconds(lambda: [rle.encode(mask) for mask in many]):.2f} s")
    print(f"RLE, decode 18,000 masks      {seconds(lambda: [rle.decode(text, 101, 101) for text in texts]):.2f} s")
    print(f"4,000 tiles at one threshold  {seconds(lambda: metric.score(blurred > 0.5, truth)):.2f} s")
    print(f"4,000 tiles at 50 thresholds  {seconds(lambda: metric.threshold_scores(blurred, truth, thresholds)):.2f} s")


if __name__ == "__main__":
    main()
