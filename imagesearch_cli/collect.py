"""`imagesearch collect`: pictures of sites and of lists of URLs, into a folder."""

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from imagesearch_cli import collect_options as options

app = typer.Typer(
    help="Collect pictures of sites and of lists of URLs into a folder, for `imagesearch index`.",
    no_args_is_help=True,
)


@app.command()
def site(
    urls: Annotated[list[str], typer.Argument(help="Pages to begin at.", metavar="URL...")],
    into: options.Into = Path("collected"),
    max_depth: Annotated[
        int, typer.Option(help="Most links between a URL given and a page.", min=0)
    ] = 5,
    max_pages: Annotated[int, typer.Option(help="Most pages read in one run.", min=1)] = 10_000,
    max_images: Annotated[
        int, typer.Option(help="Most images fetched in one run; 0: any number.", min=0)
    ] = 0,
    max_total: Annotated[
        int, typer.Option(help="Most megabytes of images fetched in one run; 0: any.", min=0)
    ] = 0,
    max_time: Annotated[float, typer.Option(help="Most seconds of one run; 0: any.", min=0)] = 0,
    pages: Annotated[
        options.Reach,
        typer.Option(help="Pages to read: of the same registrable domain, the same host, or any."),
    ] = options.Reach.SITE,
    image_hosts: Annotated[
        options.ImageHosts,
        typer.Option(help="Hosts to take images from: those of the site, or any."),
    ] = options.ImageHosts.SAME,
    domain: Annotated[
        list[str] | None,
        typer.Option(help="Domain to take for the site too, e.g. an image host. May be repeated."),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="Regular expression; URLs it is found in are left out. May be repeated."),
    ] = None,
    min_width: options.MinWidth = 64,
    min_height: options.MinHeight = 64,
    min_bytes: options.MinBytes = 0,
    max_bytes: options.MaxBytes = 20 * 1024 * 1024,
    image_format: options.Format = None,
    concurrency: options.Concurrency = 16,
    per_host: options.PerHost = 4,
    delay: options.Delay = 0.25,
    timeout: options.Timeout = 30.0,
    retries: options.Retries = 2,
    contact: options.Contact = "",
    allow_network: options.AllowNetwork = None,
    port: options.Port = None,
    retry_failed: options.RetryFailed = False,
    refresh: options.Refresh = False,
    dry_run: options.DryRun = False,
    report: options.Report = None,
    as_json: options.AsJson = False,
) -> None:
    """Follow a site's links and collect the images of its pages.

    robots.txt and what pages and images ask of robots are obeyed. Run it again to go on where it
    was stopped, or to look for what is new: no image is fetched twice.

    Exit status: 0 all went well, 1 some images or pages could not be had, 3 no page could be
    read, 130 it was stopped.
    """
    with options.needing_collect():
        from imagesearch_cli.collect_run import run_site
        from imagesearch_collect.site_job import SiteOptions

    seeds = [url if "://" in url else f"https://{url}" for url in urls]
    ports = {options.port_of(seed) for seed in seeds} | set(port or ())
    told = SiteOptions(
        seeds=[urlsplit(seed)._replace(fragment="").geturl() for seed in seeds],
        guard=options.guard(ports, allow_network),
        user_agent=options.user_agent(contact),
        max_depth=max_depth,
        max_pages=max_pages,
        max_images=max_images,
        max_bytes=max_total * 1_000_000,
        max_seconds=max_time,
        pages=pages.value,
        images="any" if image_hosts is options.ImageHosts.ANY else "site",
        domains=domain or (),
        exclude=[_pattern(each) for each in exclude or ()],
        concurrency=concurrency,
        per_host=per_host,
        delay_s=delay,
        timeout_s=timeout,
        retries=retries,
    )
    rules = options.rules(min_width, min_height, min_bytes, max_bytes, image_format)
    shown = options.Shown(into, dry_run, report, as_json)
    run_site(told, rules, shown, retry_failed=retry_failed, refresh=refresh)


@app.command()
def urls(
    file: Annotated[
        Path,
        typer.Argument(
            help="The list: .txt (a URL a line), .csv, .tsv, .jsonl or .parquet.",
            exists=True,
            dir_okay=False,
        ),
    ],
    into: options.Into = Path("collected"),
    url_column: Annotated[str, typer.Option(help="Column of URLs. Default: url.")] = "",
    caption_column: Annotated[
        str, typer.Option(help="Column of captions. Default: caption, or text.")
    ] = "",
    alt_column: Annotated[str, typer.Option(help="Column of alternative texts.")] = "",
    page_column: Annotated[str, typer.Option(help="Column of pages the images are on.")] = "",
    title_column: Annotated[str, typer.Option(help="Column of titles of those pages.")] = "",
    tags_column: Annotated[
        str, typer.Option(help="Column of labels: lists, or text with commas. Default: tags.")
    ] = "",
    attribute: Annotated[
        list[str] | None,
        typer.Option(help="Column to keep as an attribute of its name. May be repeated."),
    ] = None,
    min_width: options.MinWidth = 64,
    min_height: options.MinHeight = 64,
    min_bytes: options.MinBytes = 0,
    max_bytes: options.MaxBytes = 20 * 1024 * 1024,
    image_format: options.Format = None,
    concurrency: options.Concurrency = 32,
    per_host: options.PerHost = 4,
    delay: options.Delay = 0.1,
    timeout: options.Timeout = 30.0,
    retries: options.Retries = 2,
    contact: options.Contact = "",
    allow_network: options.AllowNetwork = None,
    port: options.Port = None,
    retry_failed: options.RetryFailed = False,
    refresh: options.Refresh = False,
    dry_run: options.DryRun = False,
    report: options.Report = None,
    as_json: options.AsJson = False,
) -> None:
    """Collect the images of a list of URLs.

    What images ask of robots (X-Robots-Tag) is obeyed. Run it again to go on where it was
    stopped: what is there, or failed for good, is not fetched again.

    Exit status: 0 all went well, 1 some could not be had, 130 it was stopped.
    """
    with options.needing_collect():
        from imagesearch_cli.collect_run import run_urls
        from imagesearch_collect.url_fetching import UrlsOptions
        from imagesearch_collect.url_lists import Columns

    columns = Columns(
        url=url_column,
        caption=caption_column,
        alt=alt_column,
        page_url=page_column,
        page_title=title_column,
        tags=tags_column,
        attributes=tuple(attribute or ()),
    )
    told = UrlsOptions(
        guard=options.guard(set(port or ()), allow_network),
        user_agent=options.user_agent(contact),
        concurrency=concurrency,
        per_host=per_host,
        delay_s=delay,
        timeout_s=timeout,
        retries=retries,
    )
    rules = options.rules(min_width, min_height, min_bytes, max_bytes, image_format)
    shown = options.Shown(into, dry_run, report, as_json)
    run_urls(file, columns, told, rules, shown, retry_failed=retry_failed, refresh=refresh)


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise typer.BadParameter(f"{text!r} is no regular expression: {error}") from error
