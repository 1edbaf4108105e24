"""gateway.proof: other forms of real photos are proven and named, other pictures are not."""

import random
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from gateway.proof.boxes import WHOLE, Box
from gateway.proof.comparing import Comparison, compare
from gateway.proof.features import WORKING_SIDE, Features, Picture, features, picture
from gateway.proof.relations import Relation
from imagesearch_dev.drawings import draw, random_drawing
from imagesearch_dev.samples import photos

PHOTOS = ("chelsea.png", "coffee.png", "china.jpg", "astronaut.png")


@cache
def photo(name: str = "chelsea.png") -> Image.Image:
    return photos()[name]


def seen(image: Image.Image) -> Features:
    return features(picture(np.asarray(image.convert("RGB"))))


@cache
def seen_photo(name: str = "chelsea.png") -> Features:
    return seen(photo(name))


def proven(image: Image.Image, name: str = "chelsea.png") -> Comparison:
    found = compare(seen_photo(name), seen(image))
    assert found is not None
    assert 0 < found.confidence <= 1
    assert np.isfinite(found.homography).all()
    return found


def crop(image: Image.Image, box: Box) -> Image.Image:
    width, height = image.size
    edges = (box.left * width, box.top * height, box.right * width, box.bottom * height)
    return image.crop(tuple(round(edge) for edge in edges))


@pytest.mark.parametrize("name", PHOTOS)
def test_the_same_pixels(name: str) -> None:
    found = proven(photo(name), name)

    assert found.relations == (Relation.IDENTICAL_PIXELS,)
    assert (found.confidence, found.query_box, found.image_box) == (1, WHOLE, WHOLE)


def test_a_digest_tells_whether_originals_have_the_same_pixels() -> None:
    pixels = np.asarray(photo())
    one, same, other = (features(picture(pixels, digest)) for digest in (b"1", b"1", b"2"))

    for image, relation in (
        (same, Relation.IDENTICAL_PIXELS),
        (other, Relation.RECOMPRESSED),
    ):
        found = compare(one, image)
        assert found is not None
        assert found.relations == (relation,)


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("by", [0.5, 0.125])
def test_a_smaller_one(name: str, by: float) -> None:
    image = photo(name)
    found = proven(image.resize((round(image.width * by), round(image.height * by))), name)

    assert found.relations == (Relation.RESIZED,)
    assert found.query_overlap > 0.98
    assert found.image_overlap > 0.98


@pytest.mark.parametrize("name", PHOTOS)
def test_a_part(name: str) -> None:
    part = Box(0.3, 0.2, 0.85, 0.75)
    found = proven(crop(photo(name), part), name)

    assert found.relations == (Relation.CROPPED,)
    assert found.query_box.overlap(part) > 0.95
    assert found.image_overlap > 0.98
    assert found.query_overlap == pytest.approx(part.area, abs=0.02)


@pytest.mark.parametrize("name", PHOTOS)
def test_more_of_the_scene(name: str) -> None:
    part = Box(0.2, 0.25, 0.8, 0.8)
    found = compare(seen(crop(photo(name), part)), seen_photo(name))

    assert found is not None
    assert found.relations[0] is Relation.WIDER
    assert found.image_box.overlap(part) > 0.95


def test_a_border() -> None:
    image = photo()
    found = proven(ImageOps.expand(image, 40, "white"))

    width, height = image.width + 80, image.height + 80
    inside = Box(40 / width, 40 / height, 1 - 40 / width, 1 - 40 / height)
    assert found.relations == (Relation.PADDED,)
    assert found.image_box.overlap(inside) > 0.97


def test_one_of_four_pictures() -> None:
    size = (300, 200)
    whole = Image.new("RGB", (600, 400))
    for i, name in enumerate(PHOTOS):
        whole.paste(photo(name).resize(size), (i % 2 * 300, i // 2 * 200))

    found = proven(whole, "coffee.png")
    assert found.relations[0] is Relation.COLLAGE
    assert found.image_box.overlap(Box(0.5, 0, 1, 0.5)) > 0.95
    back = compare(seen(whole), seen_photo("coffee.png"))
    assert back is not None
    assert back.relations[0] is Relation.COLLAGE
    assert back.query_box.overlap(Box(0.5, 0, 1, 0.5)) > 0.95


def test_something_put_over_it() -> None:
    image = photo().copy()
    ImageDraw.Draw(image).ellipse((100, 60, 180, 130), fill="#20a0f0")
    found = proven(image)

    truth = Box(100 / image.width, 60 / image.height, 181 / image.width, 131 / image.height)
    assert found.relations == (Relation.OVERLAID,)
    assert found.changed_boxes[0].overlap(truth) > 0.9


def test_colours() -> None:
    image = photo("coffee.png")
    warmer = np.clip(np.asarray(image) * np.array([1.25, 1.0, 0.75]), 0, 255).astype(np.uint8)

    assert proven(image.convert("L"), "coffee.png").relations == (Relation.GREYSCALE,)
    found = proven(Image.fromarray(warmer), "coffee.png")
    assert found.relations == (Relation.RECOLOURED,)


def test_a_blurred_one() -> None:
    found = proven(photo().filter(ImageFilter.GaussianBlur(3)))

    assert found.relations == (Relation.BLURRED,)


def test_a_mirrored_one() -> None:
    found = proven(ImageOps.mirror(photo()))

    assert found.relations == (Relation.MIRRORED,)
    assert found.rotation_degrees == pytest.approx(0, abs=0.5)
    upper_left = found.homography @ (0, 0, 1)
    assert upper_left == pytest.approx((1, 0, 1), abs=0.01)


@pytest.mark.parametrize(("name", "degrees"), [("chelsea.png", 10), ("china.jpg", -35)])
def test_a_turned_one(name: str, degrees: float) -> None:
    turned = photo(name).rotate(-degrees, Image.Resampling.BICUBIC, expand=True)
    found = proven(turned, name)

    assert found.relations == (Relation.ROTATED,)
    assert found.rotation_degrees == pytest.approx(degrees, abs=0.5)


@pytest.mark.parametrize(
    ("turn", "degrees"),
    [
        (Image.Transpose.ROTATE_270, 90),
        (Image.Transpose.ROTATE_180, 180),
        (Image.Transpose.ROTATE_90, -90),
    ],
)
def test_quarter_turns(turn: Image.Transpose, degrees: int) -> None:
    found = proven(photo().transpose(turn))

    assert found.relations == (Relation.ROTATED,)
    assert abs((found.rotation_degrees - degrees + 180) % 360 - 180) < 0.5


def test_several_at_once() -> None:
    part = Box(0.1, 0.15, 0.9, 0.85)
    image = ImageOps.mirror(crop(photo("china.jpg"), part)).convert("L")
    found = proven(image.resize((image.width // 2, image.height // 2)), "china.jpg")

    wanted = (Relation.MIRRORED, Relation.CROPPED, Relation.GREYSCALE, Relation.RESIZED)
    assert found.relations == wanted
    assert found.query_box.overlap(part) > 0.95


def test_distinct_photos_are_not_versions() -> None:
    names = [*PHOTOS, "flower.jpg", "camera.png", "moon.png", "coins.png", "grass.png"]
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            assert compare(seen_photo(one), seen_photo(other)) is None, (one, other)


def test_two_parts_that_do_not_overlap() -> None:
    for name in PHOTOS:
        left, right = Box(0, 0, 0.5, 1), Box(0.5, 0, 1, 1)
        found = compare(seen(crop(photo(name), left)), seen(crop(photo(name), right)))
        assert found is None, name


def test_another_photo_of_the_same_scene() -> None:
    import skimage.io

    from imagesearch_dev.samples import photos as all_photos

    folder = skimage.__path__[0] + "/data/"
    right = skimage.io.imread(folder + "motorcycle_right.png")
    assert compare(seen(all_photos()["motorcycle_left.png"]), features(picture(right))) is None


def test_the_same_frame_with_another_picture_in_it() -> None:
    windows = []
    for name in ("coffee.png", "china.jpg"):
        window = Image.new("RGB", (640, 480), "#eeeeee")
        brush = ImageDraw.Draw(window)
        brush.rectangle((0, 0, 640, 40), fill="#203050")
        brush.text((10, 12), "Pictures   File   Edit   View   Help", "white")
        for line in range(12):
            brush.text((10, 60 + 30 * line), f"Folder {line}", "#333333")
        window.paste(photo(name).resize((480, 400)), (140, 60))
        windows.append(seen(window))

    assert compare(*windows) is None


def test_distinct_drawings_are_not_versions() -> None:
    rng = random.Random(1)
    drawn = [seen(draw(random_drawing(rng), 128)) for _ in range(24)]
    for i, one in enumerate(drawn):
        for other in drawn[i + 1 :]:
            assert compare(one, other) is None


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 40), (40, 1), (2, 3), (8, 8), (16, 16), (512, 3), (2000, 7)]
)
@pytest.mark.parametrize("noisy", [False, True])
def test_pictures_of_next_to_nothing(size: tuple[int, int], noisy: bool) -> None:
    """Nothing can be proven of them, but by equal pixels; and nothing fails."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256 if noisy else 1, (size[1], size[0], 3)).astype(np.uint8)
    tiny = features(picture(pixels))
    other = features(picture(np.full((size[1], size[0], 3), 200, np.uint8)))

    assert compare(tiny, other) is None
    assert compare(tiny, seen_photo()) is None
    assert compare(seen_photo(), tiny) is None
    same = compare(tiny, features(picture(pixels.copy())))
    assert same is not None
    assert same.relations == (Relation.IDENTICAL_PIXELS,)


def test_flat_pictures_are_not_versions_of_each_other() -> None:
    flats = [features(picture(np.full((300, 400, 3), value, np.uint8))) for value in (0, 130, 255)]
    assert compare(flats[0], flats[1]) is None
    assert compare(flats[1], flats[2]) is None


def test_a_picture_of_gradients_alone_proves_nothing() -> None:
    slope = np.linspace(0, 255, 400)[None, :, None] * np.ones((300, 1, 3))
    steeper = np.clip(slope * 1.2, 0, 255)
    one, other = (features(picture(each.astype(np.uint8))) for each in (slope, steeper))

    assert compare(one, other) is None


def test_pictures_are_made_small_enough() -> None:
    made = picture(np.zeros((700, 2000, 3), np.uint8))

    assert (made.width, made.height) == (2000, 700)
    assert made.pixels.shape == (179, WORKING_SIDE, 3)


def test_original_sizes_tell_what_was_resized() -> None:
    """Both are compared as thumbnails of one size."""
    pixels = np.asarray(photo().resize((400, 267)))
    noisy = np.clip(pixels.astype(np.int16) + 2, 0, 255).astype(np.uint8)
    one, other = Picture(pixels, 4000, 2670), Picture(noisy, 400, 267)
    found = compare(features(one), features(other))

    assert found is not None
    assert found.relations == (Relation.RESIZED,)


def test_the_same_answer_in_many_threads() -> None:
    image = seen(ImageOps.mirror(crop(photo(), Box(0.1, 0.1, 0.8, 0.9))))
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: compare(seen_photo(), image), range(6)))

    assert found[0] is not None
    for other in found:
        assert other is not None
        assert other.relations == found[0].relations
        assert other.confidence == found[0].confidence
        np.testing.assert_array_equal(other.homography, found[0].homography)
