"""Texts put into sentences, as CLIP's training data has them.

Averaging the vectors of several sentences about one thing makes the label mean the thing and not
the sentence (Radford et al. 2021, section 3.1.4: prompt ensembling).
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

PLACE = "{}"

DEFAULT = {
    "LATIN": ("a photo of a {}.", "a picture of {}.", "{}"),
    "CJK": ("一张{}的照片", "{}的图片", "{}"),
    "HIRAGANA": ("{}の写真", "{}の画像", "{}"),
    "KATAKANA": ("{}の写真", "{}の画像", "{}"),
    "HANGUL": ("{} 사진", "{} 그림", "{}"),
    "CYRILLIC": ("фото: {}", "изображение: {}", "{}"),
    "ARABIC": ("صورة {}", "{}"),
}
"""Templates by script. Texts in other scripts stand alone."""


def prompts(texts: Iterable[str], templates: Sequence[str]) -> list[str]:
    """Puts each text into each template; without templates, into those of its script."""
    return [
        template.replace(PLACE, text)
        for text in texts
        for template in templates or DEFAULT.get(script(text), (PLACE,))
    ]


def script(text: str) -> str:
    """Names the script of most of a text's letters, e.g. "LATIN", "CJK"; "" without letters.

    Text with any kana is Japanese, whatever share of it is Chinese characters.
    """
    found = Counter(
        unicodedata.name(letter, "").split(" ")[0].split("-")[0]
        for letter in text
        if letter.isalpha()
    )
    if kana := [name for name in ("HIRAGANA", "KATAKANA") if found[name]]:
        return kana[0]
    return found.most_common(1)[0][0] if found else ""
