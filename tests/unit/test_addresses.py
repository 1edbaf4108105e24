"""fetch_kit: what may be connected to, by address and by URL."""

import pytest

from fetch_kit.addresses import is_public, networks
from fetch_kit.errors import FetchRefusal, UrlForbiddenError, UrlInvalidError
from fetch_kit.urls import check_url


@pytest.mark.parametrize(
    "address",
    [
        *("93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946"),
        *("::ffff:8.8.8.8", "64:ff9b::808:808"),  # lead to 8.8.8.8 and nowhere else
    ],
)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255"),
        *("127.0.0.1", "127.255.255.254", "169.254.1.1", "172.16.0.1", "172.31.255.255"),
        *("192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255"),
        *("198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe"),  # mapped
        *("::127.0.0.1", "::7f00:1"),  # IPv4-compatible
        *("::ffff:0:127.0.0.1", "::ffff:0:7f00:1"),  # IPv4-translated
        *("64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::7f00:1", "64:ff9b:1::808:808"),  # NAT64
        *("2002:7f00:1::", "2002:a00:1::1", "2002:808:808::1"),  # 6to4
        *("2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),  # Teredo
        *("2606::5efe:7f00:1", "2606::200:5efe:7f00:1"),  # ISATAP
        *("2001:db8::1", "3ffe::1", "3fff::1", "5f00::1", "100::1", "4000::1", "2606::1%1"),
    ],
)
def test_addresses_that_are_not(address: str) -> None:
    assert not is_public(address)


METADATA = [
    *("169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254"),
    *("::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "64:ff9b::a83f:8110"),
]


@pytest.mark.parametrize("address", METADATA)
def test_metadata_is_in_no_network_that_is_allowed(address: str) -> None:
    assert not is_public(address)
    assert not is_public(address, networks(["0.0.0.0/0", "::/0"]))


def test_metadata_must_be_allowed_alone() -> None:
    assert is_public("169.254.169.254", networks(["169.254.169.254"]))


def test_a_network_can_be_allowed() -> None:
    allowed = networks(["10.1.0.0/16", "fd12::/16"])

    assert is_public("10.1.2.3", allowed)
    assert is_public("::ffff:10.1.2.3", allowed)
    assert is_public("fd12::1", allowed)
    assert not is_public("10.2.2.3", allowed)
    assert not is_public("fd13::1", allowed)


@pytest.mark.parametrize(
    "url",
    [
        *("http://example.org", "https://example.org/a?b=c", "http://sub.example.org:80/"),
        *(
            "http://8.8.8.8/",
            "http://[2606:2800:220:1:248:1893:25c8:1946]/",
            "http://example.org./",
        ),
        *("http://münchen.example/ü", "http://a_b.example.org/", "HTTP://EXAMPLE.ORG/"),
    ],
)
def test_urls_that_may_be_fetched(url: str) -> None:
    assert check_url(url).scheme in ("http", "https")


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1/", "http://10.0.0.1/", "http://[::1]/", "http://[fd00::1]/"),
        *("http://2130706433/", "http://0x7f000001/", "http://017700000001/"),  # one number
        *("http://127.1/", "http://127.0.1/", "http://0x7f.1/", "http://0177.0.0.1/"),
        *("http://127.0.0.1./", "http://2130706433./", "http://0x7f.0.0.0x1/", "http://1.0x/"),
        *("http://①②⑦.⓪.⓪.①/", "http://１２７.0.0.1/", "http://127。0。0。1/"),  # Unicode digits
        *("http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[64:ff9b::7f00:1]/"),
        *("http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/", "http://[2606::1%251]/"),
        "http://0300.0250.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        *("http://example.org:22/", "http://example.org:8080/", "https://example.org:6379/"),
    ],
)
def test_urls_that_lead_where_they_must_not(url: str) -> None:
    with pytest.raises(UrlForbiddenError):
        check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        *("", "example.org", "//example.org/", "file:///etc/passwd", "ftp://example.org/"),
        *("data:image/png;base64,AAAA", "javascript:alert(1)", "http://", "http:///x", "http:x"),
        *("http://user@example.org/", "http://user:secret@example.org/", "http://:@example.org/"),
        *("http://example.org\\@127.0.0.1/", "http://example.org\\.evil.org/"),
        *("http://example.org/\n", "http://exam\tple.org/", "\x00http://example.org/"),
        *("http://a..b/", "http://.example.org/", "http://exa mple.org/", "http://-/"),
        *("http://]/", "http://[]/", "http://x.org/\ud800"),
        *("http://[::1", "http://example.org:99999/", "http://[v1.x]/"),
        "http://example.org/" + "a" * 9_000,
        "http://" + "a." * 200 + "org/",
    ],
)
def test_what_is_no_url_for_us(url: str) -> None:
    with pytest.raises(UrlInvalidError):
        check_url(url)


@pytest.mark.parametrize("url", ["http://%31%32%37.0.0.1/", "http://127.0.0.1%00.example.org/"])
def test_escapes_in_hosts_are_not_interpreted(url: str) -> None:
    with pytest.raises(FetchRefusal):
        check_url(url)


def test_a_host_on_an_allowed_network_may_be_named_but_only_in_its_usual_form() -> None:
    allowed = networks(["127.0.0.0/8"])

    assert check_url("http://127.0.0.1:8000/", ports={8000}, allowed=allowed).host == "127.0.0.1"
    with pytest.raises(UrlForbiddenError, match="usual form"):
        check_url("http://127.1:8000/", ports={8000}, allowed=allowed)
