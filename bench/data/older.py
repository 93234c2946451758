"""What files of older versions say in another way than today's, and how it is taken from them.

visits.csv without the column `predicted_s`: a skipped cell's prediction stood in its reason alone,
"predicted 0.61 s a launch, limit 0.3 s".
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from bench.data.records import BOUNDS, Visit

PREDICTED = re.compile(r"predicted ([0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?) s a launch")


def with_predictions(visits: Iterable[Visit]) -> Iterator[Visit]:
    """The visits of a file without that column, each with what its reason predicts, if it does."""
    low, high = BOUNDS["*"]
    for visit in visits:
        match = PREDICTED.match(visit.reason) if visit.status == "skipped" else None
        if match and low <= (seconds := float(match[1])) <= high:
            yield replace(visit, predicted_s=seconds)
        else:
            yield visit
