"""`imagesearch collect`, as a user runs it: killed, stopped, and run again."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from imagesearch_cli.main import app
from tests.picture_site import Reply, Site, html, lines, png, serving

PAGES = 20
EACH = 8
CONCURRENCY = 8


def replies(own: str) -> dict[str, Reply]:
    """Pages in a chain, each with images of its own and one that all share."""
    made: dict[str, Reply] = {"/shared.png": png(0)}
    for page in range(PAGES):
        numbers = range(page * EACH, (page + 1) * EACH)
        images = "".join(f'<img src="/{n}.png">' for n in numbers)
        links = f'<a href="/page/{2 * page + 1}"></a><a href="/page/{2 * page + 2}"></a>'
        made[f"/page/{page}"] = html(f'{links}{images}<img src="/shared.png">')
        made |= {f"/{n}.png": replace(png(n + 1), after_s=0.02) for n in numbers}
    return made


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with serving(replies) as served:
        yield served


async def start(*arguments: object) -> Process:
    command = [sys.executable, "-m", "imagesearch_cli", "collect", *map(str, arguments)]
    return await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)


async def run(*arguments: object) -> tuple[int | None, str, str]:
    process = await start(*arguments)
    output, errors = await asyncio.wait_for(process.communicate(), 50)
    return process.returncode, output.decode(), errors.decode()


def site_command(site: Site, folder: Path) -> list[object]:
    return [
        *("site", site.url("/page/0"), "--into", folder, "--allow-network", "127.0.0.0/8"),
        *("--delay", 0, "--concurrency", CONCURRENCY, "--per-host", CONCURRENCY),
        *("--retries", 0, "--json"),
    ]


def urls_command(site: Site, folder: Path) -> list[object]:
    file = folder.parent / "list.txt"
    file.write_text("\n".join(site.url(f"/{n}.png") for n in range(PAGES * EACH)))
    return [
        *("urls", file, "--into", folder, "--allow-network", "127.0.0.0/8", "--port", site.port),
        *("--delay", 0, "--concurrency", CONCURRENCY, "--per-host", CONCURRENCY, "--json"),
    ]


def images_asked(site: Site) -> int:
    return sum(path.endswith(".png") for path in site.asked)


@pytest.mark.parametrize("command", [site_command, urls_command])
async def test_a_run_that_is_killed_goes_on(site: Site, tmp_path: Path, command: object) -> None:
    """Everything is there in the end, once, and nothing is fetched twice but what was in flight."""
    assert callable(command)
    folder = tmp_path / "collected"
    kills = 0
    for images in (30, 80, 120):
        process = await start(*command(site, folder))
        await site.has_been_asked(images, ".png")
        process.kill()
        await process.communicate()
        kills += process.returncode == -signal.SIGKILL

    code, output, errors = await run(*command(site, folder))

    assert kills == 3
    assert code == (1 if command is site_command else 0), errors  # the chain ends in 404s
    report = json.loads(output)
    assert report["end"] == "finished"
    places = Counter((line["url"], line["page_url"]) for line in lines_of(folder))
    expected = {
        (site.url(f"/{n}.png"), site.url(f"/page/{n // EACH}") if command is site_command else "")
        for n in range(PAGES * EACH)
    }
    if command is site_command:
        expected |= {(site.url("/shared.png"), site.url(f"/page/{p}")) for p in range(PAGES)}
    assert places == Counter(dict.fromkeys(expected, 1))
    twice = images_asked(site) - len({url for url, _ in expected})
    assert twice <= kills * CONCURRENCY


def lines_of(folder: Path) -> list[dict[str, str]]:
    found = [
        {"url": str(line["url"]), "page_url": str(line.get("page_url", ""))}
        for line in lines(folder / "manifest.jsonl")
    ]
    return found


@pytest.mark.parametrize("command", [site_command, urls_command])
async def test_ctrl_c_lets_what_is_in_flight_come(
    site: Site, tmp_path: Path, command: object
) -> None:
    assert callable(command)
    folder = tmp_path / "collected"
    process = await start(*command(site, folder))
    await site.has_been_asked(40, ".png")

    process.send_signal(signal.SIGINT)
    output, errors = await asyncio.wait_for(process.communicate(), 20)

    assert process.returncode == 130
    assert b"Finishing what is in flight" in errors
    assert json.loads(output)["stored"] == len({line["url"] for line in lines_of(folder)})
    asked = {path for path in site.asked if path.endswith(".png")}
    assert len({line["url"] for line in lines_of(folder)}) == len(asked)  # all that were begun
    assert not list(folder.rglob("*.tmp"))


async def test_a_dry_run_fetches_no_image_and_writes_nothing(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "collected"

    code, output, _ = await run(*site_command(site, folder), "--dry-run", "--max-depth", 1)

    listed = {line for line in output.splitlines() if line.startswith("http")}
    expected = {site.url(f"/{n}.png") for n in range(3 * EACH)} | {site.url("/shared.png")}
    assert listed == expected
    assert code == 0
    assert images_asked(site) == 0
    assert not folder.exists()


async def test_what_cannot_be_had_is_reported(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text(f"url\n{site.url('/1.png')}\nhttp://10.0.0.1/\n{site.url('/gone')}\n")
    report = tmp_path / "refused.csv"

    code, output, _ = await run(
        *("urls", file, "--into", tmp_path / "c", "--allow-network", "127.0.0.0/8"),
        *("--port", site.port, "--report", report),
    )

    assert code == 1
    assert "1 images collected" in output
    assert "URL_FORBIDDEN" in output
    rows = report.read_text().splitlines()
    assert rows[0] == "url,page_url,reason,message"
    assert {row.split(",")[2] for row in rows[1:]} == {"URL_FORBIDDEN", "STATUS"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["urls", "{tmp}/missing.txt"], 2, "does not exist"),
        (["urls", "{tmp}/list.csv"], 1, "no column 'url'"),
        (["site", "http://10.0.0.1/", "--into", "{tmp}/c"], 3, "URL_FORBIDDEN"),
        (["site", "example.org", "--allow-network", "nowhere"], 2, "nowhere"),
        (["site", "example.org", "--format", "svg"], 2, "SVG"),
        (["site", "example.org", "--exclude", "("], 2, "regular"),
    ],
)
def test_wrong_arguments(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    (tmp_path / "list.csv").write_text("link\n")
    given = [each.format(tmp=tmp_path) for each in arguments]
    if "--into" not in given:
        given += ["--into", str(tmp_path / "c")]

    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["collect", *given])

    assert result.exit_code == code
    assert said in result.output
