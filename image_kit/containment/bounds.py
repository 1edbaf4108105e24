"""What one image may cost."""

from dataclasses import dataclass

_BYTES_PER_PIXEL = 16
_BESIDES = 192 * 1024 * 1024


@dataclass(frozen=True)
class Bounds:
    """Bounds on the work with one image.

    Attributes:
        seconds: Longest that it may take, on the clock and of a processor.
        memory_bytes: Most memory that it may take, besides what the libraries hold.
        answer_bytes: Most bytes that a task may give.
    """

    seconds: float
    memory_bytes: int
    answer_bytes: int

    @classmethod
    def of(cls, seconds: float, memory_bytes: int, max_pixels: int) -> "Bounds":
        """Makes one of a service's settings.

        Args:
            seconds: Longest for one image.
            memory_bytes: 0: what an image of so many pixels takes at most, with transparency.
            max_pixels: Most pixels of one image.
        """
        memory = memory_bytes or _BYTES_PER_PIXEL * max_pixels + _BESIDES
        return cls(seconds, memory, answer_bytes=4 * max_pixels + 1024)
