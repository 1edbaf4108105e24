"""Certificates in files: what is taken, what is not, and when a change is."""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from structlog.testing import capture_logs

from imagesearch_dev import certificates
from imagesearch_dev.certificates import Authority, Pair
from service_kit.tls import refusals
from service_kit.tls.client import ClientTls
from service_kit.tls.files import CertificateError, CertificateFiles, load
from service_kit.tls.serving import ServerTls
from service_kit.tls.watching import WatchedCertificates

DAY = timedelta(days=1)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create()


@pytest.fixture
def files(tmp_path: Path) -> CertificateFiles:
    return CertificateFiles(tmp_path / "tls.crt", tmp_path / "tls.key", tmp_path / "ca.crt")


@pytest.fixture
def put(tmp_path: Path, authority: Authority) -> Callable[[Pair], None]:
    """Writes a pair, and the authority's certificate."""

    def write(pair: Pair) -> None:
        certificates.write(tmp_path, pair, authority.pair.certificate)

    return write


class Clock:
    """Time that only goes on when it is told to."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = now()

    def now(self) -> datetime:
        return self._began + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def watched(files: CertificateFiles, clock: Clock) -> WatchedCertificates:
    return WatchedCertificates(files, 1.0, clock.now, clock.monotonic)


def looks(of: WatchedCertificates, clock: Clock, count: int = 2) -> bytes:
    """The certificate in use after some looks, a second from each to the next."""
    for _ in range(count):
        clock.seconds += 1.0
        of.current()
    chain = of.current().chain
    assert chain is not None
    return chain


def test_good_files_are_read(
    files: CertificateFiles, put: Callable[[Pair], None], authority: Authority
) -> None:
    begins = now()
    pair = authority.issue("gateway", begins=begins, lasts=DAY)
    put(pair)

    found = load(files, now())

    assert (found.chain, found.key, found.ca) == (
        pair.certificate,
        pair.key,
        authority.pair.certificate,
    )
    assert found.expires == (begins + DAY).replace(microsecond=0)


def encrypted(pair: Pair) -> Pair:
    key = load_pem_private_key(pair.key, None)
    made = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    return Pair(pair.certificate, made)


WRONG: dict[str, tuple[Callable[[Authority], Pair], str]] = {
    "expired": (lambda a: a.issue("x", begins=now() - 2 * DAY, lasts=DAY), "expired at"),
    "not yet valid": (lambda a: a.issue("x", begins=now() + DAY), "is not valid before"),
    "key of another": (
        lambda a: Pair(a.issue("x").certificate, a.issue("x").key),
        "is not that of the certificate",
    ),
    "no certificate": (lambda a: Pair(b"nothing", a.issue("x").key), "has no certificate in PEM"),
    "half a certificate": (
        lambda a: Pair((pair := a.issue("x")).certificate[:200], pair.key),
        "has no certificate in PEM",
    ),
    "no key": (lambda a: Pair(a.issue("x").certificate, b""), "has no private key in PEM"),
    "encrypted key": (lambda a: encrypted(a.issue("x")), "is encrypted"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files_are_refused_with_the_reason_and_without_the_key(
    case: str, files: CertificateFiles, put: Callable[[Pair], None], authority: Authority
) -> None:
    make, why = WRONG[case]
    put(make(authority))

    with pytest.raises(CertificateError, match=why) as refused:
        load(files, now())

    assert "PRIVATE KEY" not in str(refused.value)
    assert str(files.certificate) in str(refused.value) or str(files.key) in str(refused.value)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match=r"nowhere\.crt cannot be read: No such file"):
        load(CertificateFiles(ca=tmp_path / "nowhere.crt"), now())


def test_authorities_may_be_old_if_one_is_not(tmp_path: Path, authority: Authority) -> None:
    bundle = tmp_path / "ca.crt"
    bundle.write_bytes(authority.pair.certificate)
    files = CertificateFiles(ca=bundle)
    after = now() + timedelta(days=certificates.AUTHORITY_DAYS + 1)

    assert load(files, now()).ca == authority.pair.certificate
    with pytest.raises(CertificateError, match="none of the authorities' certificates"):
        load(files, after)


def test_a_certificate_without_its_key_is_refused() -> None:
    with pytest.raises(CertificateError, match="needs its private key"):
        CertificateFiles(certificate=Path("tls.crt"))
    with pytest.raises(CertificateError, match="needs its certificate"):
        CertificateFiles(key=Path("tls.key"))


def test_settings_that_would_leave_a_server_open_are_refused(
    files: CertificateFiles, put: Callable[[Pair], None], authority: Authority
) -> None:
    put(authority.issue("gateway"))

    with pytest.raises(CertificateError, match="by one who has one"):
        ServerTls(client_ca=files.ca)
    with pytest.raises(CertificateError, match="only be known with an authority"):
        ServerTls(files.certificate, files.key, allowed_clients=["gateway"])


def test_a_new_certificate_is_used_once_its_files_stay_the_same(
    files: CertificateFiles, put: Callable[[Pair], None], authority: Authority, clock: Clock
) -> None:
    first, second = authority.issue("gateway"), authority.issue("gateway")
    put(first)
    certificate = watched(files, clock)
    before = certificate.current()
    put(second)

    assert certificate.current() is before, "nobody looks before the second is over"
    assert looks(certificate, clock, 1) == first.certificate, "somebody may still be writing"
    assert looks(certificate, clock, 1) == second.certificate
    assert certificate.current() is certificate.current()


def test_who_asks_seldom_gets_the_new_certificate_at_once(
    files: CertificateFiles, put: Callable[[Pair], None], authority: Authority, clock: Clock
) -> None:
    put(authority.issue("gateway"))
    certificate = watched(files, clock)
    second = authority.issue("gateway")
    put(second)
    clock.seconds += 3600

    assert certificate.current().chain == second.certificate


def test_a_half_written_pair_is_waited_for_in_silence(
    files: CertificateFiles, put: Callable[[Pair], None], authority: Authority, clock: Clock
) -> None:
    first, second = authority.issue("gateway"), authority.issue("gateway")
    put(first)
    certificate = watched(files, clock)
    assert files.certificate is not None
    with capture_logs() as logs:
        certificates.replace_file(files.certificate, second.certificate)
        assert looks(certificate, clock, 1) == first.certificate
        put(second)
        assert looks(certificate, clock) == second.certificate

    assert [line["event"] for line in logs] == ["certificates_changed"]


@pytest.mark.parametrize("case", WRONG)
def test_bad_new_files_leave_the_old_in_use_and_are_logged_once(
    case: str,
    files: CertificateFiles,
    put: Callable[[Pair], None],
    authority: Authority,
    clock: Clock,
) -> None:
    first = authority.issue("gateway")
    put(first)
    certificate = watched(files, clock)
    make, why = WRONG[case]
    with capture_logs() as logs:
        put(make(authority))

        assert looks(certificate, clock, 10) == first.certificate
        assert why in certificate.problem

    assert [line["log_level"] for line in logs] == ["error"]


def test_good_files_end_the_problem(
    files: CertificateFiles, put: Callable[[Pair], None], authority: Authority, clock: Clock
) -> None:
    put(authority.issue("gateway"))
    certificate = watched(files, clock)
    assert files.key is not None
    files.key.unlink()
    looks(certificate, clock)
    assert "cannot be read" in certificate.problem
    second = authority.issue("gateway")
    put(second)

    assert looks(certificate, clock) == second.certificate
    assert certificate.problem == ""


def test_a_certificate_that_was_too_new_is_used_when_its_time_comes(
    files: CertificateFiles, put: Callable[[Pair], None], authority: Authority, clock: Clock
) -> None:
    put(authority.issue("gateway"))
    certificate = watched(files, clock)
    second = authority.issue("gateway", begins=clock.now() + timedelta(minutes=10))
    put(second)
    looks(certificate, clock)
    assert "not valid before" in certificate.problem
    clock.seconds += 600

    assert certificate.current().chain == second.certificate


def test_a_folder_that_is_exchanged_through_a_link_is_seen(
    tmp_path: Path, authority: Authority, clock: Clock
) -> None:
    """As Kubernetes does it with secrets: the files are links into a folder that is a link."""
    first, second = authority.issue("gateway"), authority.issue("gateway")
    for name, pair in (("1", first), ("2", second)):
        certificates.write(tmp_path / name, pair, authority.pair.certificate)
    data = tmp_path / "..data"
    data.symlink_to("1")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(Path("..data") / name)
    certificate = watched(CertificateFiles(tmp_path / "tls.crt", tmp_path / "tls.key"), clock)
    (tmp_path / "..new").symlink_to("2")
    os.replace(tmp_path / "..new", data)

    assert looks(certificate, clock) == second.certificate


def test_any_tls_option_asks_for_tls() -> None:
    assert ClientTls.wanted(False) is None
    assert ClientTls.wanted(True) == ClientTls()
    assert ClientTls.wanted(False, ca_file=Path("ca")) == ClientTls(ca_file=Path("ca"))
    assert ClientTls.wanted(False, name="gateway") == ClientTls(name="gateway")


def test_the_tool_keeps_its_authority_and_renews_the_rest(tmp_path: Path) -> None:
    certificates.main([str(tmp_path), "gateway", "--days", "2"])
    first = {path.name: path.read_bytes() for path in (tmp_path / "gateway").iterdir()}
    certificates.main([str(tmp_path), "gateway", "client"])
    second = {path.name: path.read_bytes() for path in (tmp_path / "gateway").iterdir()}

    assert first["ca.crt"] == second["ca.crt"]
    assert first["tls.crt"] != second["tls.crt"]
    assert (tmp_path / "client" / "tls.key").stat().st_mode & 0o077 == 0
    folder = tmp_path / "gateway"
    load(CertificateFiles(folder / "tls.crt", folder / "tls.key", folder / "ca.crt"), now())


def test_unknown_failures_have_no_reason_of_tls() -> None:
    assert refusals.reason("failed to connect to all addresses; Connection refused") == ""


@pytest.fixture(autouse=True)
def no_umask() -> Iterator[None]:
    old = os.umask(0o022)
    yield
    os.umask(old)
