"""The search service's settings: SEARCH_* in the environment, or flags."""

from pathlib import Path

from pydantic import (
    AliasChoices,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    model_validator,
)
from pydantic_settings import SettingsConfigDict

from service_kit.settings import ServerSettings


class Settings(ServerSettings):
    """Serves vector search on Elasticsearch over gRPC."""

    model_config = SettingsConfigDict(env_prefix="SEARCH_", populate_by_name=True)

    listen: str = "127.0.0.1:50052"
    """Address to serve on, as host:port. Port 0 takes a free one."""

    metrics_listen: str = ""
    """Address to serve Prometheus metrics on, as host:port. Empty: they are not served."""

    slow_search_s: NonNegativeFloat = 1.0
    """Searches that take longer are logged, with what was asked for. A search with `profile`
    says where the time goes."""

    elasticsearch_url: str = Field(
        default="http://127.0.0.1:9200",
        validation_alias=AliasChoices("search_elasticsearch_url", "elasticsearch_url"),
    )
    """Elasticsearch, as scheme://host:port; several nodes with commas between them."""

    elasticsearch_api_key: SecretStr | None = None
    """API key, as Elasticsearch encodes it. None: no authentication, a user's, or user:password
    in the URL."""

    elasticsearch_user: str = ""
    """Name of the user that this service is at Elasticsearch. Empty: none."""

    elasticsearch_password: SecretStr | None = None
    """That user's password."""

    elasticsearch_ca_certs: Path | None = None
    """Certificates that Elasticsearch's own is checked against. None: the public authorities'
    that certifi brings."""

    elasticsearch_fingerprint: str = Field(default="", pattern=r"^(([0-9A-Fa-f]{2}:?){32})?$")
    """SHA-256 of Elasticsearch's certificate in hex, to trust it alone. Empty: by authority."""

    wait_for_active_shards: str = ""
    """Copies of a shard that must be there before a write is tried: a number, or "all". Empty:
    as the index has it, by default 1. More refuses writes sooner when nodes are away."""

    read_timeout_s: PositiveFloat = 10.0
    """Longest that Elasticsearch may take to answer a read, within the caller's deadline."""

    write_timeout_s: PositiveFloat = 30.0
    """Longest that Elasticsearch may take to answer a write. A write without an answer may or
    may not be done; it is safe to send it again."""

    operation_lease_s: PositiveFloat = 30.0
    """How long a rebuild or other long work waits, when its server was killed, until another one
    goes on with it."""

    max_bulk_documents: PositiveInt = 500
    """Most documents in one bulk request to Elasticsearch."""

    max_bulk_bytes: PositiveInt = 5_000_000
    """About the most bytes in one bulk request. `max_bulks` of them must fit a tenth of
    Elasticsearch's heap."""

    max_bulks: PositiveInt = 3
    """Bulk requests running at a time for one index."""

    max_pending_bytes: PositiveInt = 64 * 1024 * 1024
    """Most bytes of documents waiting to be written. Beyond it streams are read no further."""

    max_search_requests: PositiveInt = 2
    """Requests with searches to Elasticsearch under way. What comes beyond it gathers, and goes
    together in the next one."""

    max_searches_a_request: PositiveInt = 32
    """Most searches in one request."""

    @model_validator(mode="after")
    def _one_identity(self) -> "Settings":
        if bool(self.elasticsearch_user) != (self.elasticsearch_password is not None):
            raise ValueError("elasticsearch_user and elasticsearch_password need each other")
        if self.elasticsearch_user and self.elasticsearch_api_key is not None:
            raise ValueError("give elasticsearch_api_key or elasticsearch_user, not both")
        return self
