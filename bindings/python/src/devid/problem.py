"""What in device memory is not as it should be."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Tuple

from ._call import text_of
from ._handle import Handle
from ._library import library


class ProblemKind(IntEnum):
    """What kind of thing is not as it should be. More may be added: those are ``OTHER`` to this version."""

    LEFTOVER = 1
    """Left over from an interrupted call. Harmless."""
    FOREIGN = 2
    """Not put there by this library. Left alone."""
    ACCESS = 3
    """Access rights or ownership are not as they must be."""
    POINTER = 4
    """The record that says which generation is in use is damaged or missing."""
    GENERATION = 5
    """A generation cannot be used."""
    DAMAGED = 6
    """Another record is damaged."""
    UNRESOLVED = 7
    """A generation was issued, but never confirmed or discarded."""
    ENDING = 8
    """What is trusted ends, and no successor is here."""
    KEY_ELSEWHERE = 9
    """A key that is only named here, such as in a token, is not to be had where it is."""
    SEALED = 10
    """A key is sealed under another secret than is given."""
    CLOCK = 11
    """The device's clock and the CA's contradict each other about what is valid."""
    NEWER = 12
    """Written by a newer version of the library. Left as it is."""
    OTHER = 13
    """Of a kind without a name here; the text says what it is."""
    REVOKED = 14
    """An identity is revoked or on hold, by the word of its CA."""


class Problem(str):
    """Something in device memory that is not as it should be: a text for people, with its parts for programs."""

    __slots__ = ("is_mended", "kind", "place", "text")

    kind: ProblemKind
    place: str
    """Where: a record's key."""
    text: str
    """What it is, without the place."""
    is_mended: bool
    """It has been put right."""

    def __new__(cls, kind: ProblemKind, place: str, text: str, is_mended: bool) -> Problem:
        self = super().__new__(cls, f"{place}: {text}{' (put right)' if is_mended else ''}")
        self.kind, self.place, self.text, self.is_mended = kind, place, text, is_mended
        return self

    def __getnewargs__(self) -> Tuple[Any, ...]:
        return self.kind, self.place, self.text, self.is_mended


class ProblemList(Handle):
    """Problems on their way out of the C face; Python programs get tuples."""

    _type = "devid_problems"
    _is_shared = True

    @classmethod
    def of(cls, function: str, *arguments: Any) -> Tuple[Problem, ...]:
        """Those of device memory or of a renewal."""
        lib = library()
        with cls._made_by(function, *arguments) as found, found._use() as pointer:
            return tuple(
                Problem(
                    _kind(lib.devid_problems_kind(pointer, index)),
                    text_of(lib.devid_problems_place(pointer, index)),
                    text_of(lib.devid_problems_text(pointer, index)),
                    lib.devid_problems_is_mended(pointer, index) == 1,
                )
                for index in range(lib.devid_problems_count(pointer))
            )


def _kind(number: int) -> ProblemKind:
    return ProblemKind(number) if number in set(ProblemKind) else ProblemKind.OTHER
