"""The whole system as processes, and everything that can go wrong around them.

`CHAOS=1` (`make chaos`) runs each test at its full size, more than an hour together; without it
they are smaller, and do the same.
"""

import os

FULL = bool(os.environ.get("CHAOS"))

SHARE = 0.7 if FULL else 0.3
"""Of the capacity, what is asked for while something breaks. Less where the machine may be slow
and shared, and the question is not how much it can take."""

MAX_CALLS = 64
"""Places of the gateway that is overloaded."""
