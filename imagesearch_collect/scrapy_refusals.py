"""Whatever ended one of Scrapy's requests, in the words of the collection."""

from scrapy.exceptions import DownloadTimeoutError, IgnoreRequest
from scrapy.spidermiddlewares.httperror import HttpError

from imagesearch_collect import refusals
from imagesearch_collect.outcomes import Reason, RefusedError
from imagesearch_collect.scrapy_manners import OffSiteError, RobotsForbiddenError


def refusal_of(error: BaseException) -> RefusedError:
    """Says what an exception means that a request ended with."""
    if (known := refusals.of_error(error)) is not None:
        return known
    if isinstance(error, HttpError):
        return refusals.of_status(error.response.status)
    if isinstance(error, DownloadTimeoutError):
        return RefusedError(Reason.TIMEOUT, str(error))
    if isinstance(error, RobotsForbiddenError):
        return RefusedError(Reason.ROBOTS, str(error))
    if isinstance(error, OffSiteError):
        return RefusedError(Reason.OFF_SITE, str(error))
    if isinstance(error, IgnoreRequest):  # of Scrapy's own there is but this one
        return RefusedError(Reason.REDIRECTS, "redirects too many times")
    return RefusedError(Reason.UNREACHABLE, str(error) or type(error).__name__)
