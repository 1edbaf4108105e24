"""Why an encrypted connection did not come about, in words."""

UNTRUSTED = "its certificate is of no authority that is trusted here"
OTHER_NAME = "its certificate is for another name"

# What gRPC and BoringSSL write, and what it means. Their texts name addresses; ours do not.
_REASONS = (
    ("certificate has expired", "its certificate has expired"),
    ("certificate is not yet valid", "its certificate is not valid yet"),
    ("CERTIFICATE_VERIFY_FAILED", UNTRUSTED),
    ("Hostname Verification Check failed", OTHER_NAME),
    ("WRONG_VERSION_NUMBER", "it does not speak TLS"),
    ("CERTIFICATE_REQUIRED", "it asks for a certificate of ours"),
    ("HANDSHAKE_FAILURE", "it does not take our certificate, or there is none"),
    ("UNKNOWN_CA", "it does not know the authority of our certificate"),
    ("ALERT_CERTIFICATE_EXPIRED", "our certificate has expired"),
    ("BAD_CERTIFICATE", "it does not take our certificate"),
)

_CUT = ("Socket closed", "Connection reset", "Broken pipe")


def reason(details: str) -> str:
    """Says why TLS failed.

    Args:
        details: Of a call that failed with UNAVAILABLE.

    Returns:
        The rest of a sentence, e.g. "its certificate has expired"; "" if it is not known, or
        something else failed.
    """
    return next((words for fragment, words in _REASONS if fragment in details), "")


def is_cut(details: str) -> bool:
    """Whether the server ended the connection unsaid.

    All that a client sees of TLS 1.3 when its certificate, or that it has none, is not taken; and
    of a server with TLS when it speaks clear text.
    """
    return any(fragment in details for fragment in _CUT)
