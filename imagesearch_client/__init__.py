"""A client of the image search gateway, for asyncio (AsyncClient) and without it (Client).

    from pathlib import Path
    from imagesearch_client import Client, field, term

    with Client("127.0.0.1:50050") as client:
        like = client.search_by_image(Path("photo.jpg"), k=5)
        composed = client.search_images(
            term(image=Path("photo.jpg")), "at night", term("people", weight=-1),
            filter=field("width") >= 1000, with_relevance=True,
        )
        for result in composed.results:
            print(result.score, result.relevance, result.image.relative_path)

Calls take Python values and give the messages of the contract (imagesearch.gateway.v1), whose
comments say what each field means.
"""

from imagesearch_client.async_client import DEFAULT_ADDRESS, AsyncClient
from imagesearch_client.client import Client
from imagesearch_client.errors import (
    DeadlineError,
    FailedPreconditionError,
    ImageSearchError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    UnavailableError,
    UnimplementedError,
)
from imagesearch_client.filters import Filter, field
from imagesearch_client.uploading import UploadLimits, UploadOutcome
from imagesearch_client.values import (
    MAX_IMAGE_BYTES,
    ImageInput,
    LabelsInput,
    box,
    image_bytes,
    pixel_box,
    term,
    upload,
)
from service_kit.tls.client import ClientTls
from service_kit.tls.files import CertificateError

__all__ = [
    "DEFAULT_ADDRESS",
    "MAX_IMAGE_BYTES",
    "AsyncClient",
    "CertificateError",
    "Client",
    "ClientTls",
    "DeadlineError",
    "FailedPreconditionError",
    "Filter",
    "ImageInput",
    "ImageSearchError",
    "InvalidRequestError",
    "LabelsInput",
    "NotFoundError",
    "OverloadedError",
    "PermissionDeniedError",
    "UnavailableError",
    "UnimplementedError",
    "UploadLimits",
    "UploadOutcome",
    "box",
    "field",
    "image_bytes",
    "pixel_box",
    "term",
    "upload",
]
