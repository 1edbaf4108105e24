"""Parts of images: fractions and pixels."""

from imagesearch.gateway.v1 import queries_pb2 as queries_pb

from service_kit.errors import InvalidRequestError

Pixels = tuple[int, int, int, int]
"""Left, upper, right and lower edge, in pixels; the last two are just outside."""


def pixels_of(region: queries_pb.Region, width: int, height: int, field: str) -> Pixels:
    """The pixels of a region: at least one, all within the image.

    Args:
        region: The part.
        width: Of the image, in pixels.
        height: Of the image, in pixels.
        field: Where in the request the region is.

    Raises:
        InvalidRequestError: It is not set, empty, or not within the image.
    """
    match region.WhichOneof("shape"):
        case "box":
            box = region.box
            edges = (box.left, box.top, box.right, box.bottom)
            # Written so that NaN is refused.
            if not (0 <= box.left < box.right <= 1 and 0 <= box.top < box.bottom <= 1):
                what = f"is {edges}; 0 <= left < right <= 1 and 0 <= top < bottom <= 1 must hold"
                raise InvalidRequestError([(f"{field}.box", what)])
            left = min(int(box.left * width), width - 1)
            top = min(int(box.top * height), height - 1)
            right = max(left + 1, round(box.right * width))
            bottom = max(top + 1, round(box.bottom * height))
            return left, top, right, bottom
        case "pixels":
            part = region.pixels
            right, bottom = part.left + part.width, part.top + part.height
            if part.left < 0 or part.top < 0 or part.width < 1 or part.height < 1:
                what = "has a negative edge, or a width or height below 1"
                raise InvalidRequestError([(f"{field}.pixels", what)])
            if right > width or bottom > height:
                what = f"ends at {right}, {bottom}; the image has {width} x {height} pixels"
                raise InvalidRequestError([(f"{field}.pixels", what)])
            return part.left, part.top, right, bottom
        case _:
            raise InvalidRequestError([(field, "has no shape; give box or pixels")])
