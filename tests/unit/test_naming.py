"""image_kit.naming: names that Elasticsearch, a file system and a URL all take."""

import pytest

from image_kit.naming import DEFAULT_INDEX, check_image_id, index_name
from service_kit.errors import InvalidRequestError, Violations


def test_no_name_is_the_default_one() -> None:
    assert index_name("") == DEFAULT_INDEX == "my-image-embeddings"


@pytest.mark.parametrize("name", ["a", "photos", "my-photos_2.1", "0"])
def test_names(name: str) -> None:
    assert index_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("Photos", "../x", "a/b", "-a", "_a", ".a", "a b", "a\n", "é", "a,b", "a*", "a:b"),
        *("photos-000001", "x" * 201),
    ],
)
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(InvalidRequestError):
        index_name(name)


@pytest.mark.parametrize("image_id", ["", "ab", "A" * 64, "g" * 64, "a" * 65, "a" * 63 + "\n"])
def test_what_is_no_image_id(image_id: str) -> None:
    wrong = Violations()

    check_image_id(image_id, "image_id", wrong)

    with pytest.raises(InvalidRequestError):
        wrong.raise_if_any()
