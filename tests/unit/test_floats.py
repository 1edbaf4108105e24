import numpy as np
import pytest
from imagesearch.common.v1 import types_pb2 as types

from service_kit.floats import encoded_floats


@pytest.mark.parametrize("count", [0, 1, 31, 32, 512, 5_000])
def test_encoded_floats_are_what_protobuf_itself_writes(count: int) -> None:
    values = np.random.default_rng(count).standard_normal(count).astype(np.float32)

    vector = types.Vector(space="a space")
    vector.MergeFromString(encoded_floats(1, values.astype("<f4").tobytes()))

    assert vector == types.Vector(space="a space", values=values.tolist())
