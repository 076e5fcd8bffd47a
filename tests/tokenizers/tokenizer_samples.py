"""Texts in many scripts, and strategies that look for trouble, for the tests of this folder."""
import unicodedata

from hypothesis import strategies as st

TEXT = """The cat sat on the mat. The dog sat on the log, and the frog sat by the bog; the cat doesn't mind!
It's 1999, or 2024: 3.14159 and 1,000,000.   Three   blanks, a\ttab, and — a dash … "quotes" (brackets).

Кот сидел на ковре, а собака сидела на бревне.  Коту было всё равно.
القط جلس على السجادة، والكلب جلس على الجذع. لم يهتم القط بذلك.
बिल्ली चटाई पर बैठी थी और कुत्ता लकड़ी पर बैठा था। बिल्ली को परवाह नहीं थी।
猫坐在垫子上，狗坐在木头上。猫不在乎。猫が座った。犬も座った。고양이가 매트 위에 앉았다.
Η γάτα κάθισε στο χαλί.  El niño comió piñas; ¿qué más?  Đến nơi rồi.
def f(x):
    return x ** 2  # 👩‍👩‍👧 👍🏽 naïve café
""" * 3

UNICODE = st.text(st.characters(exclude_categories=["Cs"]))
# what split patterns, merges and UTF-8 stumble over, and often enough to meet each other
TROUBLE = st.text(st.sampled_from(list("aaeehhttsSlLvVrRdDmM'’ſ  \n\n\r\t\u00a0\u2003\u2028\x00\x1c12٣½ⅷ.,!/«。，ा́"
                                       "бжةل猫座각👍\u200d🏽▁é\ufeff<|>\u0558\U00011de0\U0010ffff")), max_size=60)
ANY_TEXT = UNICODE | TROUBLE | st.lists(st.sampled_from(TEXT.split(" ")), max_size=8).map(" ".join)

# characters that have been in one class ever since Unicode 3.2: every engine's table has them alike
SETTLED = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) not in ("Cs", "Cn")
           and unicodedata.category(c) == unicodedata.ucd_3_2_0.category(c) and c != "ʕ"]
_SETTLED = set(SETTLED)
SETTLED_TEXT = (st.text(st.sampled_from(SETTLED)) | TROUBLE.map(lambda text: "".join(c for c in text if c in _SETTLED))
                | st.lists(st.sampled_from(TEXT.split(" ")), max_size=8).map(" ".join))


def cuts(draw, text: str) -> list[str]:
    """The same text in pieces, some of them empty."""
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
