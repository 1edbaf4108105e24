"""What makes an image another form of a query."""

from enum import Enum


class Relation(Enum):
    """As `Relation` of imagesearch.gateway.v1, whose comments define each."""

    IDENTICAL_BYTES = "identical bytes"
    IDENTICAL_PIXELS = "identical pixels"
    RESIZED = "resized"
    RECOMPRESSED = "recompressed"
    CROPPED = "cropped"
    WIDER = "wider"
    PADDED = "padded"
    OVERLAID = "overlaid"
    RECOLOURED = "recoloured"
    GREYSCALE = "greyscale"
    MIRRORED = "mirrored"
    ROTATED = "rotated"
    COLLAGE = "collage"
    BLURRED = "blurred"
