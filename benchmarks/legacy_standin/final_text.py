"""The projection of a prediction onto the passage's words as the legacy program did it: tokenize, find, count, map.

Written from what the goldens in goldens/final_text show, not from `bert_squad.text`, with which it shares no code.
Verified against them by tests/benchmarks/test_legacy_standin.py.
"""

from .tokenization import basic_tokens


def _without_spaces(text):
    """The text without spaces, and for each of its characters the place in the text."""
    kept: list[str] = []
    place_of: dict[int, int] = {}
    for place, character in enumerate(text):
        if character != " ":
            place_of[len(kept)] = place
            kept.append(character)
    return "".join(kept), place_of


def get_final_text(pred_text, orig_text, do_lower_case):
    """The part of the passage's words that a prediction stands for, or all of them."""
    tok_text = " ".join(basic_tokens(orig_text, do_lower_case))
    start = tok_text.find(pred_text)
    if start == -1:
        return orig_text
    orig_letters, orig_places = _without_spaces(orig_text)
    tok_letters, tok_places = _without_spaces(tok_text)
    if len(orig_letters) != len(tok_letters):
        return orig_text
    number_of = {place: number for number, place in tok_places.items()}
    first, last = (
        orig_places.get(number_of[place]) if place in number_of else None
        for place in (start, start + len(pred_text) - 1)
    )
    return orig_text if first is None or last is None else orig_text[first : last + 1]
