"""Spellings of artists and titles that mean the same: how two catalogues are compared by name.

`artist_key` and `title_key` undo differences of writing only; `plain_title` leaves out what does not make it another
recording (a remaster, the guests). A live, acoustic or remixed version *is* another recording, and keeps its words.
"""

from __future__ import annotations

import re
import unicodedata

_FEATURING = re.compile(r"\b(?:feat|ft|featuring)\b\.?.*", re.IGNORECASE)
# In brackets: "(feat. X)", "[with X]". Behind a dash: "- feat. X".
_GUESTS = re.compile(
    r"\s*[(\[](?:feat\.?|ft\.?|featuring|with)\s[^)\]]*[)\]]|\s+-\s+(?:feat\.?|ft\.?|featuring)\s.*", re.IGNORECASE
)
_SAME_RECORDING = (
    r"(?:(?:digital(?:ly)?\s+)?re-?master(?:ed)?(?:\s+(?:version|edition))?"
    r"|(?:album|single|original|lp|radio|mono|stereo|explicit|clean)\s+(?:version|edit|mix)"
    r"|mono|stereo|explicit|radio\s+edit|original|bonus\s+track|deluxe(?:\s+(?:edition|version))?)"
)
_YEAR = r"(?:19|20)[0-9]{2}"
_VERSION = re.compile(
    rf"\s*(?:\(|\[|\s-\s|\s/\s)\s*(?:{_YEAR}\s*(?:-\s*)?)?{_SAME_RECORDING}"
    rf"(?:\s*(?:/|-|,)?\s*(?:{_YEAR}|{_SAME_RECORDING}))*\s*[)\]]?\s*\Z",
    re.IGNORECASE,
)
_TOGETHER = re.compile(r"\s*(?:,|;|/|\||&|\+|\bx\b|\band\b|\bund\b|\bet\b|\by\b|\bvs\.?|\bwith\b)\s*", re.IGNORECASE)
# Straight, curly and lone apostrophes, the acute accent by itself, and dots.
_JOINING = "'\u2019\u2018`\u00b4.\u00b7"
_SPELLED = str.maketrans({"&": " and ", "+": " and ", "ß": "ss", "ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d"})


def artist_key(name: str) -> str:
    """An artist without regard to case, accents, punctuation, white space and a leading article."""
    return _key(_FEATURING.sub("", name) or name).removeprefix("the ")


def lead_artist_key(name: str) -> str:
    """The first of several artists written as one name."""
    return artist_key(_TOGETHER.split(_FEATURING.sub("", name).strip(), maxsplit=1)[0]) or artist_key(name)


def title_key(title: str) -> str:
    """A title without regard to case, accents, punctuation and white space."""
    return _key(title)


def plain_title(title: str) -> str:
    """The key of a title without guests and without words for the same recording at another mastering."""
    return _key(_bare(title)) or _key(title)


def _bare(title: str) -> str:
    if not any(sign in title for sign in "([-/"):
        return title
    shorter = _VERSION.sub("", _GUESTS.sub("", title))
    return shorter if shorter.strip() else title


def _key(text: str) -> str:
    folded = unicodedata.normalize("NFC", text).casefold()
    if folded.isascii():
        words = folded.translate(_ASCII)
    else:
        apart = unicodedata.normalize("NFKD", folded)
        # Accents go; the marks that are letters of their own in other scripts stay.
        folded = unicodedata.normalize("NFC", "".join(one for one in apart if not "\u0300" <= one <= "\u036f"))
        spelled = folded.translate(_SPELLED)
        words = "".join(one if one.isalnum() or unicodedata.category(one)[0] == "M" else _gap(one) for one in spelled)
    # A name of signs only ("!!!", "+") is its own key.
    return " ".join(words.split()) or " ".join(folded.split())


def _gap(character: str) -> str:
    """Apostrophes and dots join what they part ("Don't", "R.E.M."); every other sign parts."""
    return "" if character in _JOINING else " "


_ASCII = {number: _gap(chr(number)) for number in range(128) if not chr(number).isalnum()} | {
    number: word for number, word in _SPELLED.items() if number < 128
}
