"""`imagesearch compose`."""

import re
from typing import Annotated, Any

import typer
from imagesearch.gateway.v1 import queries_pb2 as queries_pb
from typer.core import TyperCommand

from imagesearch_cli.options import ADDRESS, AsJson, Gateway, Index, Tags, Timeout, run
from imagesearch_cli.search import (
    All,
    Explain,
    Facet,
    Fold,
    K,
    Lucene,
    MinRelevance,
    MinScore,
    PageSize,
    Relevance,
    Wanted,
    search_options,
    show,
)
from imagesearch_cli.terms import read_term

_MARK = "\0"

_HELP = "\n\n".join(
    (
        "Search by several images and texts together, each weighted, some of them negative.",
        'A TERM is a file, or a text in any language. "-" before it makes it negative, "+" changes '
        "nothing, and a number with a colon weighs it:",
        'imagesearch compose photo.jpg "+at night" "-people" "0.5:red" "-0.3:blue"',
        '"photo.jpg@0,0,50%,100%" is the left half of an image, "photo.jpg@10,20,300x200" a part '
        'in pixels. "id:ID" is a stored image, "text:cat.jpg" a text whatever files there are.',
        "What begins with one dash is a term, but for -k and its number.",
        "Exit status: 0 there was an answer, 1 the request was refused, 3 the system is away.",
    )
)


class _TermsCommand(TyperCommand):
    """Takes "-people" for a term, and not for seven short options in one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        valued = {
            name
            for each in self.params
            if not getattr(each, "is_flag", True)  # arguments are none, and have none
            for name in each.opts
        }
        marked: list[str] = []
        for i, word in enumerate(args):
            if word == "--":
                marked += args[i:]
                break
            is_value = i > 0 and args[i - 1] in valued
            marked.append(word if is_value or not _is_negative(word) else _MARK + word)
        return super().parse_args(ctx, marked)


def _is_negative(word: str) -> bool:
    """Whether a word is a negative term."""
    return word[:1] == "-" and word[:2] != "--" and re.fullmatch(r"-k\d*", word) is None


def compose(
    terms: Annotated[list[str], typer.Argument(metavar="TERM...", help="Files and texts.")],
    k: K = 10,
    min_score: MinScore = None,
    tag: Tags = None,
    lucene: Lucene = "",
    facet: Facet = None,
    relevance: Relevance = False,
    min_relevance: MinRelevance = None,
    fold: Fold = False,
    explain: Explain = False,
    page_size: PageSize = 0,
    all_: All = False,
    index: Index = "",
    gateway: Gateway = ADDRESS,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Search by several terms."""
    written = [each.removeprefix(_MARK) for each in terms]

    def read() -> list[queries_pb.QueryTerm]:
        return [read_term(each) for each in written]

    options = search_options(
        k, min_score, tag, lucene, facet, relevance, min_relevance, fold, index, all_
    )
    wanted = Wanted({**options, "explain": explain}, page_size, as_json, written)
    run(show(read, wanted, gateway, timeout))


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(help=_HELP, cls=_TermsCommand)(compose)
