"""What there is beside the labels: everyday things, and whether a model knows their names."""

import numpy as np

from gateway.classification.unknown import Background, Matrix

THINGS = tuple(
    """
    person; man; woman; child; baby; face; hand; crowd; soldier; doctor; athlete; dancer; dog; cat;
    horse; cow; sheep; pig; elephant; lion; bear; monkey; deer; rabbit; mouse; whale; fish; shark;
    bird; duck; eagle; owl; chicken; penguin; snake; lizard; turtle; frog; spider; butterfly; bee;
    beetle; ant; fly; snail; crab; jellyfish; tree; flower; leaf; grass; moss; mushroom; cactus;
    forest; mountain; beach; sea; river; lake; waterfall; desert; island; sky; cloud; sunset; star;
    moon; planet; galaxy; snow; rain; lightning; fire; smoke; rock; sand; ice; cave; volcano; city;
    village; street; road; bridge; house; skyscraper; castle; church; temple; tower; stadium; bank;
    factory; farm; garden; park; shop; restaurant; kitchen; bedroom; bathroom; office; classroom;
    hospital; library; museum; theatre; train station; airport; harbour; tunnel; stairs; door;
    window; wall; fence; roof; car; bus; truck; train; aeroplane; helicopter; ship; boat; bicycle;
    motorcycle; tractor; rocket; satellite; traffic sign; traffic light; table; chair; sofa; bed;
    lamp; mirror; clock; carpet; curtain; vase; candle; television; computer; keyboard; telephone;
    camera; headphones; printer; robot; machine; engine; tool; hammer; scissors; knife; gun; sword;
    rope; chain; key; lock; box; bag; bottle; cup; plate; spoon; pot; bread; cake; cheese; meat;
    egg; rice; noodles; soup; salad; pizza; apple; banana; orange; grape; tomato; potato; carrot;
    coffee; beer; wine; ice cream; chocolate; shirt; trousers; dress; coat; shoe; hat; glasses;
    watch; ring; necklace; umbrella; suitcase; money; coin; stamp; flag; toy; doll; ball; chess
    board; playing card; guitar; piano; violin; drum; book; newspaper; letter; map; document;
    handwriting; printed text; screenshot; website; chart; diagram; logo; icon; barcode; painting;
    drawing; cartoon; sculpture; poster; tattoo; x-ray; microscope image; satellite image; bone;
    skeleton; blood; tooth; football match; tennis; swimming; skiing; concert; wedding; party;
    parade; fireworks; war; protest; accident; striped pattern; checked pattern; dotted pattern;
    wood grain; brick wall; fabric; metal surface; plain colour; blurred picture; darkness
    """.replace("\n", " ").split(";")
)
"""Of every kind, and none of them fine: what a picture may well show."""

PAIRS = (
    ("sofa", "couch"),
    ("car", "automobile"),
    ("rabbit", "bunny"),
    ("photo", "photograph"),
    ("sea", "ocean"),
    ("stone", "rock"),
    ("bicycle", "bike"),
    ("forest", "woods"),
    ("child", "kid"),
    ("taxi", "cab"),
    ("soccer", "football"),
    ("ship", "vessel"),
    ("hat", "cap"),
    ("street", "road"),
    ("autumn", "fall"),
    ("doctor", "physician"),
)
"""Two words for one thing, spelled differently: who knows them puts them together."""

_KNOWN = 0.6
"""Share of the pairs that must be found. By chance one in sixteen is."""

_TEMPLATE = "a photo of a {}."


def sentences() -> list[str]:
    """The texts that `background` needs the vectors of, in order."""
    things = [_TEMPLATE.replace("{}", thing.strip()) for thing in THINGS]
    return [*things, *(word for pair in PAIRS for word in pair)]


def background(vectors: Matrix) -> Background:
    """Makes the background of a model.

    Args:
        vectors: (len(sentences()), d), unit length.
    """
    things, words = vectors[: len(THINGS)], vectors[len(THINGS) :]
    return Background(things, pairs_found(words) >= _KNOWN)


def pairs_found(words: Matrix) -> float:
    """Share of the pairs whose first word is closest, of all second words, to its own.

    Args:
        words: (2 P, d), unit length: the words of the first pair, of the second, …
    """
    alike = words[::2] @ words[1::2].T
    return float(np.mean(alike.argmax(1) == np.arange(len(alike))))
