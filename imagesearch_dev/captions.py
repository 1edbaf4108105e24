"""Descriptions of drawings in five languages, and which drawings a description fits."""

from collections.abc import Callable
from dataclasses import dataclass

from imagesearch_dev.drawings import Drawing

LANGUAGES = ("en", "zh", "es", "de", "fr")


@dataclass(frozen=True)
class Query:
    """What a description says; None or "" where it says nothing.

    A shape is always named with its number, since "a circle" is one circle.
    """

    count: int | None = None
    colour: str = ""
    shape: str = ""
    position: str = ""
    texture: str = ""
    background: str = ""

    def fits(self, drawing: Drawing) -> bool:
        """Whether everything that is said is true of the drawing."""
        return (
            self.count in {None, drawing.count}
            and self.colour in {"", drawing.colour}
            and self.shape in {"", drawing.shape}
            and self.position in {"", drawing.position}
            and self.texture in {"", drawing.texture}
            and self.background in {"", drawing.background}
        )


def describe(drawing: Drawing, parts: frozenset[str]) -> Query:
    """Says of a drawing the named parts (fields of Query), as far as it has them."""
    return Query(**{part: getattr(drawing, part) for part in parts})


def caption(query: Query, language: str) -> str:
    """Puts a query in words.

    Args:
        query: Says a count with a shape, or neither; then a colour or something of
            the background.
        language: One of LANGUAGES.
    """
    return _WRITERS[language](query)


def _english(query: Query) -> str:
    numbers = ("", "a", "two", "three", "four")
    plurals = {"cross": "crosses"}
    words: list[str] = []
    if query.shape and query.count:
        number = numbers[query.count]
        if query.count == 1 and query.colour == "orange":
            number = "an"
        noun = query.shape if query.count == 1 else plurals.get(query.shape, query.shape + "s")
        words += [number, query.colour, noun]
    elif query.colour:
        words.append(query.colour)
    if query.position:
        words.append("in the centre" if query.position == "centre" else f"at the {query.position}")
    if query.texture or query.background:
        ground = " ".join(filter(None, (query.texture, query.background, "background")))
        article = "an" if ground.startswith("o") else "a"
        words.append(f"on {article} {ground}" if words else f"{article} {ground}")
    return " ".join(filter(None, words))


def _chinese(query: Query) -> str:
    numbers = ("", "一个", "两个", "三个", "四个")
    shapes = {
        "circle": "圆形",
        "square": "正方形",
        "triangle": "三角形",
        "star": "星星",
        "heart": "心形",
        "cross": "十字",
        "ring": "圆环",
        "moon": "月亮",
    }
    colours = {
        "red": "红色",
        "green": "绿色",
        "blue": "蓝色",
        "yellow": "黄色",
        "orange": "橙色",
        "purple": "紫色",
        "black": "黑色",
        "white": "白色",
    }
    textures = {"plain": "纯色", "striped": "条纹", "dotted": "圆点", "checkered": "格子"}
    positions = {
        "centre": "中间",
        "top left": "左上角",
        "top right": "右上角",
        "bottom left": "左下角",
        "bottom right": "右下角",
    }
    thing = ""
    if query.shape and query.count:
        colour = f"{colours[query.colour]}的" if query.colour else ""
        thing = f"{numbers[query.count]}{colour}{shapes[query.shape]}"
    elif query.colour:
        thing = colours[query.colour]
    ground = colours.get(query.background, "") + textures.get(query.texture, "")
    where = f"{ground}背景" if ground else ""
    if query.position:
        where += positions[query.position] + ("有" if thing else "")
    elif where and thing:
        where += "上的"
    return where + thing


@dataclass(frozen=True)
class _Grammar:
    """Words of a language whose adjectives follow number and gender.

    Attributes:
        numbers: "One" by gender, then two to four.
        nouns: Shape to (gender, singular, plural); genders are 0 masculine, 1 feminine, 2 neuter.
        colours: Colour to its forms: singular by gender, then plural by gender.
        plain_colours: Colour to its form when it stands alone or describes the background.
        positions: Position to its phrase.
        textures: Texture to its phrase for the background.
        on: Words between the shapes and the background.
        ground: Pattern of the background, with {colour} and {texture}.
        colour_first: The colour comes before the noun.
    """

    numbers: tuple[tuple[str, str, str], str, str, str]
    nouns: dict[str, tuple[int, str, str]]
    colours: dict[str, tuple[str, ...]]
    plain_colours: dict[str, str]
    positions: dict[str, str]
    textures: dict[str, str]
    on: str
    ground: str
    colour_first: bool = False

    def write(self, query: Query) -> str:
        """Puts a query in words."""
        words: list[str] = []
        if query.shape and query.count:
            gender, singular, plural = self.nouns[query.shape]
            several = query.count > 1
            words.append(str(self.numbers[query.count - 1]) if several else self.numbers[0][gender])
            phrase = [plural if several else singular]
            if query.colour:
                form = self.colours[query.colour][gender + 3 * several]
                phrase.insert(0 if self.colour_first else 1, form)
            words += phrase
        elif query.colour:
            words.append(self.plain_colours[query.colour])
        if query.position:
            words.append(self.positions[query.position])
        if query.texture or query.background:
            words.append(self.on if words else "")
            words.append(
                self.ground.format(
                    colour=self.plain_colours.get(query.background, ""),
                    texture=self.textures.get(query.texture, ""),
                )
            )
        return " ".join(" ".join(words).split())


def _two_genders(table: dict[str, tuple[str, str, str, str]]) -> dict[str, tuple[str, ...]]:
    return {k: (m, f, m, ms, fs, ms) for k, (m, f, ms, fs) in table.items()}


_SPANISH_COLOURS = _two_genders(
    {
        "red": ("rojo", "roja", "rojos", "rojas"),
        "green": ("verde", "verde", "verdes", "verdes"),
        "blue": ("azul", "azul", "azules", "azules"),
        "yellow": ("amarillo", "amarilla", "amarillos", "amarillas"),
        "orange": ("naranja", "naranja", "naranjas", "naranjas"),
        "purple": ("morado", "morada", "morados", "moradas"),
        "black": ("negro", "negra", "negros", "negras"),
        "white": ("blanco", "blanca", "blancos", "blancas"),
    }
)
_SPANISH = _Grammar(
    numbers=(("un", "una", "un"), "dos", "tres", "cuatro"),
    nouns={
        "circle": (0, "círculo", "círculos"),
        "square": (0, "cuadrado", "cuadrados"),
        "triangle": (0, "triángulo", "triángulos"),
        "star": (1, "estrella", "estrellas"),
        "heart": (0, "corazón", "corazones"),
        "cross": (1, "cruz", "cruces"),
        "ring": (0, "anillo", "anillos"),
        "moon": (1, "luna", "lunas"),
    },
    colours=_SPANISH_COLOURS,
    plain_colours={colour: forms[0] for colour, forms in _SPANISH_COLOURS.items()},
    positions={
        "centre": "en el centro",
        "top left": "arriba a la izquierda",
        "top right": "arriba a la derecha",
        "bottom left": "abajo a la izquierda",
        "bottom right": "abajo a la derecha",
    },
    textures={
        "plain": "liso",
        "striped": "a rayas",
        "dotted": "de lunares",
        "checkered": "a cuadros",
    },
    on="sobre un",
    ground="fondo {colour} {texture}",
)

_FRENCH_COLOURS = _two_genders(
    {
        "red": ("rouge", "rouge", "rouges", "rouges"),
        "green": ("vert", "verte", "verts", "vertes"),
        "blue": ("bleu", "bleue", "bleus", "bleues"),
        "yellow": ("jaune", "jaune", "jaunes", "jaunes"),
        "orange": ("orange", "orange", "orange", "orange"),
        "purple": ("violet", "violette", "violets", "violettes"),
        "black": ("noir", "noire", "noirs", "noires"),
        "white": ("blanc", "blanche", "blancs", "blanches"),
    }
)
_FRENCH = _Grammar(
    numbers=(("un", "une", "un"), "deux", "trois", "quatre"),
    nouns={
        "circle": (0, "cercle", "cercles"),
        "square": (0, "carré", "carrés"),
        "triangle": (0, "triangle", "triangles"),
        "star": (1, "étoile", "étoiles"),
        "heart": (0, "cœur", "cœurs"),
        "cross": (1, "croix", "croix"),
        "ring": (0, "anneau", "anneaux"),
        "moon": (1, "lune", "lunes"),
    },
    colours=_FRENCH_COLOURS,
    plain_colours={colour: forms[0] for colour, forms in _FRENCH_COLOURS.items()},
    positions={
        "centre": "au centre",
        "top left": "en haut à gauche",
        "top right": "en haut à droite",
        "bottom left": "en bas à gauche",
        "bottom right": "en bas à droite",
    },
    textures={
        "plain": "uni",
        "striped": "à rayures",
        "dotted": "à pois",
        "checkered": "à carreaux",
    },
    on="sur un",
    ground="fond {colour} {texture}",
)

_GERMAN_STEMS = {
    "red": "rot",
    "green": "grün",
    "blue": "blau",
    "yellow": "gelb",
    "orange": "orangefarben",
    "purple": "violett",
    "black": "schwarz",
    "white": "weiß",
}
_GERMAN_ENDINGS = ("er", "e", "es", "e", "e", "e")
_GERMAN = _Grammar(
    numbers=(("ein", "eine", "ein"), "zwei", "drei", "vier"),
    nouns={
        "circle": (0, "Kreis", "Kreise"),
        "square": (2, "Quadrat", "Quadrate"),
        "triangle": (2, "Dreieck", "Dreiecke"),
        "star": (0, "Stern", "Sterne"),
        "heart": (2, "Herz", "Herzen"),
        "cross": (2, "Kreuz", "Kreuze"),
        "ring": (0, "Ring", "Ringe"),
        "moon": (0, "Mond", "Monde"),
    },
    colours={
        colour: tuple(stem + ending for ending in _GERMAN_ENDINGS)
        for colour, stem in _GERMAN_STEMS.items()
    },
    plain_colours=_GERMAN_STEMS,
    positions={
        "centre": "in der Mitte",
        "top left": "oben links",
        "top right": "oben rechts",
        "bottom left": "unten links",
        "bottom right": "unten rechts",
    },
    textures={
        "plain": "einfarbig",
        "striped": "gestreift",
        "dotted": "gepunktet",
        "checkered": "kariert",
    },
    on="vor",
    ground="Hintergrund {colour} {texture}",
    colour_first=True,
)


def _german(query: Query) -> str:
    """German puts what describes the background before it, with an ending: "blau gestreifter"."""
    text = _GERMAN.write(query)
    before, ground, after = text.partition("Hintergrund ")
    if not ground:
        return text
    ending = "em" if before else "er"
    return f"{before}{after}{ending} Hintergrund"


_WRITERS: dict[str, Callable[[Query], str]] = {
    "en": _english,
    "zh": _chinese,
    "es": _SPANISH.write,
    "de": _german,
    "fr": _FRENCH.write,
}
