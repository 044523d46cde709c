"""float32 values as the shortest decimal text that names them, many at a time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mm_core import strict_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_EXACT_TENS = 22
"""10**22 is the last power of ten that a double holds exactly."""

_EXACT_PRODUCT_TENS = 12
"""A float32 has 24 bits and 5**12 has 28: up to here the product of the two is exact in a double's 53."""


def float32_lists(chunks: list[bytes]) -> list[bytes]:
    """Return each chunk of big-endian float32 values as a JSON list of shortest decimal numbers.

    Numbers that are not finite are written as XGBoost writes and reads them: ``NaN``, ``Infinity``, ``-Infinity``.
    """
    import numpy as np  # takes 80 ms to import, and a server without pickled models never needs it

    values = np.frombuffer(b"".join(chunks), dtype=">u4").astype(np.uint32).view(np.float32)
    shortest = _shortest_as_double(values)
    finite = bool(np.isfinite(values).all())
    numbers = shortest.tolist()
    lists = []
    start = 0
    for chunk in chunks:
        end = start + len(chunk) // 4
        part = numbers[start:end]
        lists.append(strict_json.encode(part) if finite else json.dumps(part, separators=(",", ":")).encode("ascii"))
        start = end
    return lists


def _shortest_as_double(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return for each float32 the double whose shortest text is also the shortest text of the float32.

    Six to nine digits name any float32. For each number of digits, the nearest decimal is the quotient (or product)
    of a whole number below 2**53 and an exact power of ten, hence correctly rounded. Where this reasoning does not hold
    (far exponents, powers of two with their lopsided neighbourhood, a near tie), NumPy's own printing decides.
    """
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        exact = values.astype(np.float64)
        size = np.abs(exact)
        open_ = np.isfinite(exact) & (size > 0)
        found = exact.copy()
        exponent = np.floor(np.log10(np.where(open_, size, 1.0))).astype(np.int64)
        mantissa, _ = np.frexp(size)
        slow = open_ & ((mantissa == 0.5) | (exponent > _EXACT_TENS) | (exponent < 8 - _EXACT_TENS))
        open_ &= ~slow
        for digits in range(6, 10):
            tens = digits - 1 - exponent
            up = np.power(10.0, np.clip(tens, 0, _EXACT_TENS))
            down = np.power(10.0, np.clip(-tens, 0, _EXACT_TENS))
            scaled = size * up / down
            whole = np.rint(scaled)
            doubtful = open_ & (np.abs(np.abs(scaled - whole) - 0.5) < 1e-6)
            doubtful &= (tens > _EXACT_PRODUCT_TENS) | (tens < 0)
            slow |= doubtful
            open_ &= ~doubtful
            candidate = whole / up * down
            hit = open_ & (candidate.astype(np.float32) == size.astype(np.float32))
            found[hit] = candidate[hit]
            open_ &= ~hit
    found = np.copysign(found, exact)
    for place in np.flatnonzero(slow | open_):
        found[place] = float(str(values[place]))
    return found
