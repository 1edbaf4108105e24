"""Arrays as the contracts' vectors, without a list of their values."""

from typing import TYPE_CHECKING

from imagesearch.common.v1 import types_pb2 as types

from service_kit.floats import encoded_floats

if TYPE_CHECKING:  # who has an array has numpy
    import numpy as np
    from numpy.typing import NDArray


def to_vector(values: "NDArray[np.float32]", space: str) -> types.Vector:
    """Renders a vector of shape (dimensions,)."""
    vector = types.Vector(space=space)
    encoded = encoded_floats(types.Vector.VALUES_FIELD_NUMBER, values.astype("<f4").tobytes())
    vector.MergeFromString(encoded)
    return vector
