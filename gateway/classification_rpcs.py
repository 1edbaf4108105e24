"""What the RPCs that say what is in a picture do: each reads as its steps."""

from collections.abc import AsyncIterator

from imagesearch.gateway.v1 import classification_pb2 as pb


class ClassificationRpcs:
    """Classifies images."""

    async def classify(self, request: pb.ClassifyRequest) -> pb.ClassifyResponse:
        raise NotImplementedError

    def classify_batch(
        self, request: pb.ClassifyBatchRequest
    ) -> AsyncIterator[pb.ClassifyBatchResponse]:
        raise NotImplementedError

    async def identify(self, request: pb.IdentifyRequest) -> pb.IdentifyResponse:
        raise NotImplementedError

    async def list_label_sets(self, request: pb.ListLabelSetsRequest) -> pb.ListLabelSetsResponse:
        raise NotImplementedError

    async def get_label_set(self, request: pb.GetLabelSetRequest) -> pb.GetLabelSetResponse:
        raise NotImplementedError
