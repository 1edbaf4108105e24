"""What is in a picture."""

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import classification_pb2 as pb
from imagesearch.gateway.v1 import queries_pb2 as queries_pb

from imagesearch_client import filters, values
from imagesearch_client.calls import Calls

if TYPE_CHECKING:
    from imagesearch.gateway.v1.image_search_service_pb2_grpc import ImageSearchServiceAsyncStub


class Classification:
    """The calls that say what is in a picture."""

    _stub: "ImageSearchServiceAsyncStub"
    _calls: Calls

    async def classify(
        self,
        image: values.ImageInput | None = None,
        *,
        url: str | None = None,
        image_id: str | None = None,
        labels: values.LabelsInput | None = None,
        label_set: str | None = None,
        region: queries_pb.Region | None = None,
        index: str = "",
        top_k: int | None = None,
        timeout: float | None = None,
    ) -> pb.ClassifyResponse:
        """Says what is in a picture, among labels in any language, or that it is none of them.

        Args:
            image: The encoded image, or its file. Exactly one of this and the next two.
            url: Its address, where the server allows that.
            image_id: Id of an image of the index.
            labels: What it may be. Either this or the next.
            label_set: Name of a label set of the server.
            region: Only this part of the image: see `box` and `pixel_box`.
            index: Name of the index of `image_id`; "" for the default.
            top_k: Most labels in the answer. None: 5.
            timeout: Seconds to wait. None: the client's.

        Raises:
            ImageSearchError: It failed.
        """
        request = pb.ClassifyRequest(
            **values.one_source(image, url, image_id),
            **values.label_choice(labels, label_set),
            region=region,
            index=index,
            top_k=top_k,
        )
        return await self._calls.one(self._stub.Classify, request, timeout)

    def classify_batch(
        self,
        *,
        index: str,
        labels: values.LabelsInput | None = None,
        label_set: str | None = None,
        filter: filters.Filter | types.Filter | None = None,
        write_tags: bool = False,
        tag_prefix: str = "",
        min_probability: float | None = None,
        top_k: int | None = None,
        resume_token: str = "",
        timeout: float | None = None,
    ) -> AsyncGenerator[pb.ClassifyBatchResponse]:
        """Classifies all images of an index, and writes the labels to their tags if wanted.

        Args:
            index: Name of the index.
            labels: What they may be. Either this or the next.
            label_set: Name of a label set of the server.
            filter: Only images that match.
            write_tags: Add the likeliest labels to the images' tags.
            tag_prefix: Put before each tag, e.g. "auto:".
            min_probability: Less likely labels are left out, 0 to 1. None: 0.5.
            top_k: Most labels of an image, 1 to 100. None: 1.
            resume_token: Of the last answer before the stream broke.
            timeout: Seconds for all images. None: as long as it goes on.

        Yields:
            One for each image, in the order of their ids.

        Raises:
            ImageSearchError: It failed.
        """
        request = pb.ClassifyBatchRequest(
            **values.label_choice(labels, label_set),
            index=index,
            filter=filters.message_of(filter),
            write_tags=write_tags,
            tag_prefix=tag_prefix,
            min_probability=min_probability,
            top_k=top_k,
            resume_token=resume_token,
        )
        return self._calls.many(self._stub.ClassifyBatch, request, timeout)

    async def identify(
        self,
        image: values.ImageInput | None = None,
        *,
        url: str | None = None,
        image_id: str | None = None,
        labels: values.LabelsInput | None = None,
        label_set: str | None = None,
        region: queries_pb.Region | None = None,
        index: str = "",
        label_field: str = "",
        neighbor_count: int | None = None,
        filter: filters.Filter | types.Filter | None = None,
        top_k: int | None = None,
        timeout: float | None = None,
    ) -> pb.IdentifyResponse:
        """Says what is in a picture, from labels and from what similar images are labelled with.

        Args:
            image: The encoded image, or its file. Exactly one of this and the next two.
            url: Its address, where the server allows that.
            image_id: Id of an image of the index.
            labels: What it may be. At most one of this and the next.
            label_set: Name of a label set of the server.
            region: Only this part of the image.
            index: Name of the index whose images vote; "" for the default.
            label_field: Field with their labels: "tags" or "attributes.KEY". "": "tags".
            neighbor_count: Neighbours that vote, 1 to 100. None: 20.
            filter: Only images that match vote.
            top_k: Most labels in the answer. None: 5.
            timeout: Seconds to wait. None: the client's.

        Raises:
            ImageSearchError: It failed.
        """
        request = pb.IdentifyRequest(
            **values.one_source(image, url, image_id),
            **values.label_choice(labels, label_set, required=False),
            region=region,
            index=index,
            label_field=label_field,
            neighbor_count=neighbor_count,
            filter=filters.message_of(filter),
            top_k=top_k,
        )
        return await self._calls.one(self._stub.Identify, request, timeout)

    async def list_label_sets(self, *, timeout: float | None = None) -> pb.ListLabelSetsResponse:
        """Lists the label sets that the server has.

        Raises:
            ImageSearchError: It failed.
        """
        request = pb.ListLabelSetsRequest()
        return await self._calls.one(self._stub.ListLabelSets, request, timeout)

    async def get_label_set(
        self, name: str, *, timeout: float | None = None
    ) -> pb.GetLabelSetResponse:
        """Reads a label set.

        Raises:
            ImageSearchError: It failed; NotFoundError: there is none of that name.
        """
        request = pb.GetLabelSetRequest(name=name)
        return await self._calls.one(self._stub.GetLabelSet, request, timeout)
