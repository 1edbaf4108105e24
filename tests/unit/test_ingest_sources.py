"""Sources and the journal, without a gateway: what is listed, passed over, and known."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from imagesearch_ingest.folder import Folder
from imagesearch_ingest.ignoring import Ignores
from imagesearch_ingest.items import Item, Listed, RefusedError, SourceError, Unlisted, Unusable
from imagesearch_ingest.journal import Entry, Identity, Journal
from imagesearch_ingest.mapping import Mapping
from imagesearch_ingest.opening import Kind, Opening
from imagesearch_ingest.shards import expand

PNG = b"\x89PNG\r\n\x1a\n"


def listed(place: Path | str, kind: Kind = Kind.AUTO) -> list[Listed]:
    return list(Opening(kind).open(str(place)).items(lambda *_: False))


def keys(found: list[Listed], kind: Any = Item) -> list[str]:
    return [one.key for one in found if isinstance(one, kind)]


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(PNG)
    return root


def test_a_folder_leaves_out_what_is_hidden_or_ignored(tmp_path: Path) -> None:
    root = touch(
        tmp_path,
        *("a.png", ".b.png", "c.txt", ".d/e.png", "drafts/f.png", "g/h.png", "g/keep/i.png"),
        *("g/drafts/j.png", "k/l.PNG", "k/m.tmp.png"),
    )
    (root / "g" / ".imagesearchignore").write_text("*.png\n!keep/*.png\n")
    source = Folder(root, Ignores(["/drafts/", "*.tmp.png"]), Mapping())

    found = list(source.items(lambda *_: False))

    assert keys(found) == ["a.png", "g/keep/i.png", "k/l.PNG"]


def test_links_do_not_lead_out_of_a_folder(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a.png", "b/c.png")
    touch(tmp_path, "out/d.png")
    (root / "within.png").symlink_to("b/c.png")
    (root / "without.png").symlink_to(tmp_path / "out" / "d.png")
    (root / "folder").symlink_to(tmp_path / "out")
    (root / "b" / "loop").symlink_to(root)
    os.mkfifo(root / "fifo.png")

    found = listed(root)

    items = {one.key: one for one in found if isinstance(one, Item)}
    assert items.keys() == {"a.png", "b/c.png", "within.png", "without.png"}
    assert items["within.png"].read() == PNG
    with pytest.raises(RefusedError, match="link"):
        items["without.png"].read()
    assert keys(found, Unusable) == ["fifo.png"]


def test_a_stamp_changes_with_the_file_and_with_what_is_said_of_it(tmp_path: Path) -> None:
    root = touch(tmp_path, "a.png")
    stamps = [listed(root)[0].stamp]  # type: ignore[union-attr]
    for name, content in (("a.json", b"{}"), ("a.json", b"{ }"), ("a.png", PNG * 2)):
        (root / name).write_bytes(content)
        stamps.append(listed(root)[0].stamp)  # type: ignore[union-attr]

    assert len(set(stamps)) == 4


def test_ranges_and_wildcards_are_expanded(tmp_path: Path) -> None:
    touch(tmp_path, "s-00.tar", "s-01.tar", "s-02.zip")

    assert expand("s-{08..11}.tar") == ["s-08.tar", "s-09.tar", "s-10.tar", "s-11.tar"]
    assert expand("{0..1}/{2..3}") == ["0/2", "0/3", "1/2", "1/3"]
    assert [name[-8:] for name in expand(f"{tmp_path}/s-*.tar")] == ["s-00.tar", "s-01.tar"]
    with pytest.raises(SourceError):
        expand("s-{9..1}.tar")
    with pytest.raises(SourceError):
        expand(f"{tmp_path}/none-*.tar")


def test_a_tar_that_unpacks_without_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes before it is used; memory stays small."""
    monkeypatch.setattr("imagesearch_ingest.tars._ALWAYS_UNPACKED_BYTES", 1 << 20)
    file = tmp_path / "bomb.tar.gz"
    with gzip.open(file, "wb") as out, tarfile.open(fileobj=out, mode="w|") as tar:
        for name, size in (("good.png", 8), ("zeros.bin", 64 << 20), ("after.png", 8)):
            info = tarfile.TarInfo(name)
            info.size = size
            tar.addfile(info, io.BytesIO(PNG if size == 8 else bytes(size)))

    found = listed(file)

    assert keys(found) == ["bomb.tar.gz!good.png"]
    (damaged,) = (one for one in found if isinstance(one, Unlisted))
    assert "100 times" in damaged.reason


def test_a_tar_header_of_great_length_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.tar"
    with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("a.png")
        info.pax_headers = {"comment": "x" * 1_000_000}
        tar.addfile(info)

    assert [type(one) for one in listed(file)] == [Unlisted]


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.parquet"])
def test_what_is_no_archive_is_said_to_be_damaged(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"nothing of the kind" * 100)

    (only,) = listed(tmp_path / name)

    assert isinstance(only, Unlisted)
    assert "damaged" in only.reason


def test_a_zip_of_many_entries_is_listed_one_by_one(tmp_path: Path) -> None:
    file = tmp_path / "many.zip"
    with zipfile.ZipFile(file, "w") as made:
        for number in range(20_000):
            made.writestr(f"{number}.png", b"")

    assert len(keys(listed(file))) == 20_000


@pytest.fixture
def journal(tmp_path: Path) -> Any:
    opened = Journal(tmp_path / "journal.sqlite")
    yield opened
    opened.close()


def test_a_promoted_index_is_the_same_and_a_remade_one_is_not(journal: Journal) -> None:
    first = journal.target(Identity("a", "s", 1, 100))

    assert journal.target(Identity("a", "s", 1, 100)) == first
    assert journal.target(Identity("a", "s2", 2, 200)) == first  # rebuilt for another space
    assert journal.target(Identity("a", "s", 1, 100)) == first  # rolled back
    remade = journal.target(Identity("a", "s", 1, 300))
    assert remade != first
    assert journal.target(Identity("a", "s", 1, 300)) == remade
    assert journal.target(Identity("b", "s", 1, 100)) not in (first, remade)


def test_what_an_item_held_before_is_not_forgotten(journal: Journal) -> None:
    target = journal.target(Identity("a", "s", 1, 100))
    source = journal.source(target, "file:///x")
    old = Entry("k", "1", b"old", b"s", b"p", True, "")
    new = Entry("k", "2", b"new", b"s", b"p", False, "")

    journal.write(target, source, [old])
    journal.write(target, source, [new])

    assert journal.entries(source, ["k", "other"]) == {"k": new}
    assert journal.db.execute("SELECT image, made FROM former").fetchall() == [(b"old", 1)]


def test_a_journal_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    first = Journal(tmp_path / "j")
    first.db.execute("PRAGMA user_version = 99")
    first.close()

    with pytest.raises(SourceError, match="newer"):
        Journal(tmp_path / "j")
