"""How often what failed in passing is tried again."""

AT_LEAST = 20
SHARE = 0.2


class RetryBudget:
    """Retries of a whole run: AT_LEAST, and SHARE more for each answer.

    So a network that is down is not asked three times for everything.
    """

    def __init__(self) -> None:
        self._answers = 0
        self._retries = 0

    @property
    def spent(self) -> bool:
        """Whether no retry is left for now."""
        return self._retries >= AT_LEAST + SHARE * self._answers

    def answered(self) -> None:
        """Counts an answer, of whatever status."""
        self._answers += 1

    def retried(self) -> None:
        """Counts a retry."""
        self._retries += 1
