"""What people write on the command line for terms, regions and fields. Pure.

photo.jpg         like this image
"+at night"       and like this text
"-people"         and unlike this one
"0.5:red"         half as much
"-0.3:blur.png"   unlike an image, a third as much
"photo.jpg@0,0,50%,100%"   like a part of it: left, top, right, bottom in percent of its size
"photo.jpg@10,20,300x200"  or left, top in pixels, then width x height
"id:9f86…"        like a stored image
"text:photo.jpg"  the text, although there is such a file
"""

import re
from pathlib import Path

from imagesearch.gateway.v1 import queries_pb2 as queries_pb

from imagesearch_cli.connection import CliError
from imagesearch_client import box, image_bytes, pixel_box, term

_WEIGHT = re.compile(r"(\d+(?:\.\d*)?|\.\d+):(.*)", re.DOTALL)
_NUMBER = r"\s*(\d+(?:\.\d*)?|\.\d+)\s*"
_FRACTIONS = re.compile(rf"{_NUMBER}%?,{_NUMBER}%?,{_NUMBER}%,{_NUMBER}%?")
_PIXELS = re.compile(r"\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*x\s*(\d+)\s*")


def read_term(written: str) -> queries_pb.QueryTerm:
    """Reads a term.

    Raises:
        CliError: It cannot be understood, or its file cannot be read.
    """
    sign = -1.0 if written.startswith("-") else 1.0
    rest = written[1:] if written[:1] in ("+", "-") else written
    weight = 1.0
    if weighted := _WEIGHT.fullmatch(rest):
        weight, rest = float(weighted[1]), weighted[2]
    rest = rest.strip()
    if not rest or weight == 0:
        raise CliError(f"{written!r}: a term is a text or a file, with a weight other than 0")
    return _source(rest, sign * weight)


def _source(rest: str, weight: float) -> queries_pb.QueryTerm:
    kind, colon, value = rest.partition(":")
    if colon and kind == "text":
        return term(value, weight=weight)
    if rest.startswith(("http://", "https://")):
        return term(url=rest, weight=weight)
    name, at, part = rest.rpartition("@")
    if at and ((kind == "id" and colon) or Path(name).is_file()):
        region = read_region(part)
        return _image(name, region, weight)
    return _image(rest, None, weight)


def _image(name: str, region: queries_pb.Region | None, weight: float) -> queries_pb.QueryTerm:
    if name.startswith("id:"):
        return term(image_id=name.removeprefix("id:"), region=region, weight=weight)
    if Path(name).is_file():
        return term(image=read_image(Path(name)), region=region, weight=weight)
    return term(name, weight=weight)


def read_region(written: str) -> queries_pb.Region:
    """Reads a part of an image: "10,10,60%,90%" or "20,30,300x200".

    Raises:
        CliError: It is none.
    """
    if fractions := _FRACTIONS.fullmatch(written):
        left, top, right, bottom = (float(each) / 100 for each in fractions.groups())
        return box(left, top, right, bottom)
    if pixels := _PIXELS.fullmatch(written):
        left_px, top_px, width, height = map(int, pixels.groups())
        return pixel_box(left_px, top_px, width, height)
    forms = "LEFT,TOP,RIGHT%,BOTTOM% or LEFT,TOP,WIDTHxHEIGHT in pixels"
    raise CliError(f"{written!r} is no region; write {forms}")


def read_image(file: Path) -> bytes:
    """Reads an image to search by.

    Raises:
        CliError: It cannot be read, or is too large.
    """
    try:
        return image_bytes(file)
    except (OSError, ValueError) as error:
        raise CliError(str(error)) from error
