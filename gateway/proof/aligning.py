"""Makes a map exact by the pixels themselves."""

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.proof import geometry
from gateway.proof.frames import frame
from gateway.proof.geometry import Map

_SIDE = 128
_STEPS = 30


def aligned(
    query: NDArray[np.uint8], image: NDArray[np.uint8], map_: Map
) -> tuple[Map, float] | None:
    """Moves a map until the two pictures correlate best.

    Enhanced correlation coefficient (Evangelidis and Psarakis 2008, "Parametric Image
    Alignment Using Enhanced Correlation Coefficient Maximization"), which does not mind other
    brightness or contrast.

    Args:
        query: (h, w) luma.
        image: (h, w) luma.
        map_: From the query to the image, right within some pixels.

    Returns:
        The better map and the correlation reached, -1 to 1; None if there is none.
    """
    laid = frame(query, image, map_, _SIDE)
    if laid is None:
        return None
    warp = np.eye(2, 3, dtype=np.float32)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, _STEPS, 1e-4)
    try:
        correlation, warp = cv2.findTransformECC(
            laid.image,
            laid.query,
            warp,
            cv2.MOTION_AFFINE,
            criteria,
            laid.shared.astype(np.uint8) * 255,
            5,
        )
    except cv2.error:  # flat, or it ran away
        return None
    # The warp takes the image's frame to the query's.
    moved = np.linalg.inv(laid.from_image) @ np.linalg.inv(geometry.uncentred(warp))
    better = moved @ laid.from_query
    if not np.isfinite(better).all() or not np.isfinite(correlation):
        return None
    return better, float(correlation)
