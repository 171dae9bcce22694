"""The rows that every serializer writes."""

import math

COUNT = 300


def row(k):
    """The first row has a value for all."""
    return {
        "i": (math.inf if k % 2 else -math.inf) if k % 5 == 2 else float(k % 11),
        "m": None if k % 4 == 3 else float(k % 13),
        "n": math.nan if k % 3 == 1 else float(k % 7),
        "x": k % 50 / 8,
        "y": k % 5 + k % 50 / 8,
    }


rows = [row(k) for k in range(COUNT)]
