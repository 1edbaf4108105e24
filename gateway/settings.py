"""The gateway's settings: GATEWAY_* in the environment, or flags."""

from pathlib import Path

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
)
from pydantic_settings import SettingsConfigDict

from image_kit.containment.settings import DecodingSettings
from service_kit.settings import ServerSettings


class Settings(ServerSettings, DecodingSettings):
    """Serves image search over gRPC: all that a client needs."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_")

    listen: str = "127.0.0.1:50050"
    """Address to serve on, as host:port. Port 0 takes a free one."""

    metrics_listen: str = ""
    """Address to serve Prometheus metrics on, as host:port. Empty: they are not served."""

    max_calls: PositiveInt = 512
    """Most calls answered at a time that are no streams. Less than the other services take, who
    would else refuse what was begun here."""

    max_streams: PositiveInt = 128
    """Most streams at a time, over all connections."""

    max_wait_s: NonNegativeFloat = 2.0
    """Calls are refused that could not be answered within so many seconds, at the pace measured
    under load. Less than the clients' deadlines: what is answered after them is done for nothing.
    0: only `max_calls` counts."""

    embedder: str = "127.0.0.1:50051"
    """embedder_service, as host:port or any gRPC name, e.g. dns:///embedder:50051."""

    search: str = "127.0.0.1:50052"
    """search_service, as host:port or any gRPC name."""

    services_tls: bool = False
    """Encrypt the connections to both. So does each of the next five."""

    services_tls_ca_file: Path | None = None
    """Certificates that theirs are checked against, PEM. None: the public authorities'."""

    services_tls_certificate_file: Path | None = None
    """Our certificate as their client, PEM. None: `tls_certificate_file`."""

    services_tls_key_file: Path | None = None
    """Private key of that certificate, PEM."""

    embedder_tls_name: str = ""
    """Name in embedder_service's certificate. Empty: the host of `embedder`."""

    search_tls_name: str = ""
    """Name in search_service's certificate. Empty: the host of `search`."""

    backend_api_key: SecretStr | None = None
    """Key sent to embedder_service and search_service, with the scopes search and ingest for all
    indexes. None: they ask for none. GATEWAY_BACKEND_API_KEY_FILE names a file of it instead."""

    store_url: str = "file://.imagesearch/store"
    """Where originals and thumbnails are kept, as fsspec names it: file://FOLDER,
    s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, memory://. All but folders need their own package."""

    keep_metadata: bool = False
    """Keep originals byte for byte. Off: EXIF, GPS positions, XMP and comments are taken out
    first, without touching the picture; orientation and colour profile stay."""

    auto_create_index: bool = True
    """Make an index when the first image for it comes."""

    call_timeout_s: PositiveFloat = 30.0
    """Longest that one call to another service may take, within the caller's deadline."""

    image_timeout_s: PositiveFloat = 120.0
    """Longest that one image of an IndexImages stream may take in one other service."""

    max_in_flight: PositiveInt = 64
    """Images of one IndexImages stream worked on at a time. More hide more latency and take
    more memory."""

    max_in_flight_bytes: PositiveInt = 256 * 1024 * 1024
    """Bytes of images that all IndexImages streams together have under way. Beyond it they are
    read no further."""

    prepare_threads: NonNegativeInt = 0
    """Images decoded at a time for thumbnails. 0: one a physical core."""

    proof_threads: NonNegativeInt = 0
    """Pairs of images compared at a time, for versions and duplicates. 0: one a physical core."""

    kept_features_bytes: PositiveInt = 256 * 1024 * 1024
    """Memory for what images are compared by, for those that are compared again and again: some
    1.2 MB each, less for small ones."""

    scan_save_interval_s: PositiveFloat = 5.0
    """How often FindDuplicates writes down how far it is: what a kill makes it do again."""

    store_threads: PositiveInt = 8
    """Files read or written at a time in the image store."""

    max_image_bytes: PositiveInt = 20 * 1024 * 1024
    """Largest encoded image. Not more than the embedder's own."""

    max_image_pixels: PositiveInt = 64_000_000
    """Most pixels an image may have. Not more than the embedder's own."""

    max_request_pixels: PositiveInt = 2_000_000_000
    """Most pixels of the images in the requests of calls being answered that are no streams: small
    files may have many. Read from the headers, before anything is decoded. Beyond it calls get
    RESOURCE_EXHAUSTED at once; one request with more is taken alone."""

    allow_url_fetch: bool = False
    """Fetch images that SearchByImage names by URL. Only public addresses are connected to."""

    fetch_timeout_s: PositiveFloat = 10.0
    """Longest that fetching a URL may take, redirects included."""

    fetch_ports: tuple[int, ...] = (80, 443)
    """Ports that URLs may name."""

    fetch_allowed_networks: tuple[str, ...] = ()
    """Networks, e.g. 10.1.0.0/16, that URLs may lead to although they are not public."""

    label_sets: str = ""
    """Folder of label sets of your own, NAME.json each: see docs/classification.md. One that is
    wrong refuses the start."""

    label_cache_bytes: PositiveInt = 64 * 1024 * 1024
    """Most memory that remembered vectors of labels take."""

    unknown_least_share: float = Field(default=0.35, ge=0, le=1)
    """How much of what sets a label apart in words an image must show, or it is unknown. Higher:
    more images are."""
