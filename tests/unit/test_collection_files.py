"""imagesearch_collect: the files of a collection, through kills and repeated runs."""

import json
import multiprocessing
from hashlib import sha256
from pathlib import Path

import pytest

from imagesearch_collect.collection import Answer, Collection
from imagesearch_collect.image_rules import ImageRules, judge
from imagesearch_collect.image_store import ImageStore
from imagesearch_collect.json_lines import InUseError, JsonLines
from imagesearch_collect.manifest import MANIFEST, Place
from imagesearch_collect.outcomes import Reason, RefusedError, Tally
from tests.picture_site import lines, picture

URL = "http://x.org/a.png"


def test_lines_are_added_and_read(tmp_path: Path) -> None:
    with JsonLines(tmp_path / "a.jsonl") as file:
        first = file.append({"a": "ä\n"})
        second = file.append({"b": [1, 2]})

        assert file.read_at(first) == {"a": "ä\n"}
        assert file.read_at(second) == {"b": [1, 2]}
        assert [offset for offset, _ in file.lines()] == [first, second]


@pytest.mark.parametrize("cut", [1, 5, 9, 10])
def test_a_line_that_a_kill_cut_short_is_taken_off(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n' + b'{"b": 22}\n'[:-cut])

    with JsonLines(path) as file:
        file.append({"c": 3})

    assert path.read_bytes() == b'{"a": 1}\n{"c":3}\n'


def test_a_long_line_that_was_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n' + b"x" * 200_000)

    with JsonLines(path) as file:
        assert [line for _, line in file.lines()] == [{"a": 1}]
    assert path.stat().st_size == 9


def test_lines_that_are_no_objects_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\nnonsense\n[1]\n\xff\xfe\n{"b": 2}\n')

    assert list(lines(path)) == [{"a": 1}, {"b": 2}]


def _open(path: Path) -> str:
    try:
        with JsonLines(path):
            return "opened"
    except InUseError:
        return "in use"


def test_two_processes_do_not_write_to_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with multiprocessing.get_context("spawn").Pool(1) as other:
        with JsonLines(path):
            assert other.apply(_open, (path,)) == "in use"
        assert other.apply(_open, (path,)) == "opened"


def test_an_image_is_stored_once(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    data = picture(1, "JPEG")

    path, digest, new = store.put(data, "JPEG")
    again = store.put(data, "JPEG")

    assert new
    assert again == (path, digest, False)
    assert path == f"images/{digest[:2]}/{digest[2:4]}/{digest}.jpg"
    assert (tmp_path / path).read_bytes() == data
    assert sha256(data).hexdigest() == digest
    assert len(list(tmp_path.rglob("*.*"))) == 1


def test_a_file_that_is_not_whole_is_stored_again(tmp_path: Path) -> None:
    """After a machine's crash a file may be shorter than it was."""
    store = ImageStore(tmp_path)
    path, _, _ = store.put(picture(1), "PNG")
    (tmp_path / path).write_bytes(b"")

    assert store.put(picture(1), "PNG")[2]
    assert (tmp_path / path).read_bytes() == picture(1)


async def keep(collection: Collection, url: str, data: bytes, place: Place) -> bool:
    wanted = collection.wants(url, place)
    if wanted:
        await collection.keep(url, Answer(data, url, {"Content-Type": "image/png"}))
    return wanted


async def test_an_image_is_wanted_once_and_has_a_line_for_each_place(tmp_path: Path) -> None:
    one, two, three = (Place(f"http://x.org/{n}", alt=f"alt {n}") for n in (1, 2, 3))
    with Collection(tmp_path, ImageRules(), Tally()) as collection:
        assert collection.wants(URL, one)
        assert not collection.wants(URL, two)  # under way
        await collection.keep(URL, Answer(picture(1), URL, {}))
        assert not collection.wants(URL, three)
        assert not collection.wants(URL, one)
    with Collection(tmp_path, ImageRules(), tally := Tally()) as collection:
        assert not collection.wants(URL, two)

    assert [line["alt"] for line in lines(tmp_path / MANIFEST)] == ["alt 1", "alt 2", "alt 3"]
    assert (tally.known, tally.found) == (1, 1)


async def test_an_image_whose_file_has_gone_is_wanted_again(tmp_path: Path) -> None:
    with Collection(tmp_path, ImageRules(), Tally()) as collection:
        await keep(collection, URL, picture(1), Place())
    (tmp_path / next(lines(tmp_path / MANIFEST))["path"]).unlink()

    with Collection(tmp_path, ImageRules(), Tally()) as collection:
        assert await keep(collection, URL, picture(1), Place())
    assert len(list(lines(tmp_path / MANIFEST))) == 1


async def test_what_failed_for_good_is_not_wanted_again_unless_asked(tmp_path: Path) -> None:
    with Collection(tmp_path, ImageRules(), Tally()) as collection:
        for name, reason in (("a", Reason.STATUS), ("b", Reason.TIMEOUT)):
            assert collection.wants(name, Place())
            collection.refuse(name, reason, "for a reason")
            assert not collection.wants(name, Place())

    with Collection(tmp_path, ImageRules(), Tally()) as collection:
        assert [collection.wants(name, Place()) for name in "ab"] == [False, True]
    with Collection(tmp_path, ImageRules(), Tally(), retry_failed=True) as collection:
        assert [collection.wants(name, Place()) for name in "ab"] == [True, True]


async def test_a_manifest_of_somebody_elses_making_is_lived_with(tmp_path: Path) -> None:
    """Paths and fields are not believed: the image is fetched again."""
    path = tmp_path / MANIFEST
    path.write_text(
        json.dumps({"url": URL, "path": "../../etc/passwd", "size_bytes": 1})
        + "\n"
        + json.dumps({"url": None, "path": 7})
        + "\n"
    )
    with Collection(tmp_path, ImageRules(), Tally()) as collection:
        assert await keep(collection, URL, picture(1), Place())
    assert list(lines(path))[-1]["sha256"] == sha256(picture(1)).hexdigest()


@pytest.mark.parametrize(
    ("data", "rules", "reason"),
    [
        (b"", ImageRules(), Reason.UNDECODABLE),
        (b"words", ImageRules(), Reason.WRONG_TYPE),
        (picture(1)[:3_000], ImageRules(), Reason.UNDECODABLE),
        (picture(1, "JPEG")[:1_500], ImageRules(), Reason.UNDECODABLE),
        (picture(1), ImageRules(min_width=81), Reason.TOO_SMALL),
        (picture(1), ImageRules(min_height=71), Reason.TOO_SMALL),
        (picture(1), ImageRules(min_bytes=1_000_000), Reason.TOO_SMALL),
        (picture(1), ImageRules(max_bytes=1_000), Reason.TOO_LARGE),
        (picture(1), ImageRules(formats=frozenset({"JPEG"})), Reason.FORMAT),
    ],
)
def test_images_that_are_not_kept(data: bytes, rules: ImageRules, reason: Reason) -> None:
    with pytest.raises(RefusedError) as caught:
        judge(data, rules)

    assert caught.value.reason is reason


def test_an_image_that_is() -> None:
    judged = judge(picture(1, "JPEG"), ImageRules(min_width=80, min_height=70))

    assert (judged.width, judged.height, judged.format) == (80, 70, "JPEG")
