"""The page's settings: WEB_* in the environment, or flags."""

from pathlib import Path

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt, SecretStr
from pydantic_settings import SettingsConfigDict

from image_kit.containment.settings import DecodingSettings
from service_kit.settings import Names


class Settings(DecodingSettings):
    """Serves the page for people, and its JSON API, over HTTP."""

    model_config = SettingsConfigDict(env_prefix="WEB_")

    listen: str = "127.0.0.1:8080"
    """Address to serve on, as host:port. Port 0 takes a free one."""

    gateway: str = "127.0.0.1:50050"
    """The gateway, as host:port or any gRPC name, e.g. dns:///gateway:50050."""

    gateway_tls: bool = False
    """Encrypt the connection to the gateway. So does each of the next four."""

    gateway_tls_ca_file: Path | None = None
    """Certificates that the gateway's own is checked against, PEM. None: the public
    authorities'."""

    gateway_tls_certificate_file: Path | None = None
    """Our certificate as the gateway's client, PEM, if it asks for one."""

    gateway_tls_key_file: Path | None = None
    """Private key of that certificate, PEM."""

    gateway_tls_name: str = ""
    """Name in the gateway's certificate. Empty: the host of `gateway`."""

    tls_certificate_file: Path | None = None
    """Our certificate as a server, PEM, with those between it and its authority's after it.
    Given: HTTPS is served, and nothing else. Files that change are read again."""

    tls_key_file: Path | None = None
    """Private key of that certificate, PEM."""

    api_key: SecretStr | None = None
    """Sent to the gateway with the calls of all who bring no `Authorization: Bearer` of their own.
    Whoever reaches this server can then do what the key allows. WEB_API_KEY_FILE names a file of
    it instead."""

    index: str = ""
    """Index of requests that name none. Empty: the gateway's default."""

    allowed_hosts: Names = ("localhost", "127.0.0.1", "[::1]")
    """Names that this server is called by, without port: those that people type, with commas
    between them. "*.example.org" stands for all below it, "*" for any. Requests for other names
    are refused, so that no foreign site can act under a name of its own (DNS rebinding)."""

    cors_origins: Names = ()
    """Origins, e.g. https://photos.example.org, whose pages may use the API, with commas between
    them. Empty: only this server's own page."""

    max_upload_bytes: PositiveInt = 20 * 1024 * 1024
    """Largest encoded image that is taken. Not more than the gateway's own."""

    max_image_pixels: PositiveInt = 64_000_000
    """Most pixels an image may have. Not more than the gateway's own."""

    max_upload_bytes_in_flight: PositiveInt = 256 * 1024 * 1024
    """Bytes of uploads that are held at a time. Beyond it they are not read yet."""

    upload_timeout_s: PositiveFloat = 120.0
    """Longest that reading a request may take."""

    call_timeout_s: PositiveFloat = 30.0
    """Longest that a call to the gateway may take."""

    max_requests: PositiveInt = 256
    """Requests of the API answered at a time. More are refused, to come again."""

    heartbeat_s: PositiveFloat = 15.0
    """Seconds of silence after which a stream of events says that it is still there."""

    query_folder: Path = Path(".imagesearch/query-images")
    """Where images that were searched by are kept, so that links to searches work."""

    query_max_bytes: PositiveInt = 1024 * 1024 * 1024
    """Bytes of them that are kept. Those not used for the longest time go first."""

    query_max_age_s: PositiveFloat = 7 * 24 * 3600.0
    """Seconds without use after which they are deleted."""

    threads: NonNegativeInt = 0
    """Images decoded and encoded at a time for thumbnails. 0: one a physical core."""

    metrics_listen: str = ""
    """Address to serve Prometheus metrics on, as host:port. Empty: they are not served."""
