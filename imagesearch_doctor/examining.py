"""Runs the checks: all at once, each within its time."""

import asyncio
import logging
from collections.abc import Mapping

from imagesearch_doctor import checks
from imagesearch_doctor.checks import Check
from imagesearch_doctor.findings import Checked, Finding, problem
from imagesearch_doctor.system import System
from imagesearch_doctor.targets import Options

log = logging.getLogger(__name__)

# A check makes several calls, of which each may take as long as `Options.timeout_s`.
_CALLS_A_CHECK = 3


async def examine(options: Options, every: Mapping[str, Check] = checks.ALL) -> list[Checked]:
    """Examines a system; takes little more than three times `options.timeout_s`, whatever it meets.

    Args:
        options: What to examine, and how.
        every: The checks, by name.

    Returns:
        What each check found, in their order.

    Raises:
        CertificateError: The files of `options.access.tls` cannot be used.
    """
    limit_s = _CALLS_A_CHECK * options.timeout_s
    async with System(options) as system:
        found = await asyncio.gather(
            *(_checked(name, check, system, limit_s) for name, check in every.items())
        )
    return [Checked(name, findings) for name, findings in zip(every, found, strict=True)]


async def _checked(name: str, check: Check, system: System, limit_s: float) -> list[Finding]:
    try:
        async with asyncio.timeout(limit_s):
            return await check(system)
    except TimeoutError:
        what = f"not done within {limit_s:.0f} s"
        return [problem(name, what, "see the other findings; --timeout gives more time")]
    except Exception as error:  # one check's bug must not cost what the others found
        log.exception("the check %s failed", name)
        what = f"the check itself failed: {type(error).__name__}: {error}"
        return [problem(name, what, "report this: it is a bug of the doctor")]
