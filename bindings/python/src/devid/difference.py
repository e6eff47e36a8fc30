"""Where a certificate is not what was asked for."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Tuple

from ._call import text_of
from ._handle import Handle
from ._library import library


class Deviation(IntEnum):
    """In which way a part of a certificate is not what was asked for."""

    ADDED = 1
    """All that was asked for is there, and more; a longer validity too."""
    NARROWED = 2
    """A validity that begins later or ends earlier than asked for."""
    REORDERED = 3
    """A subject of the same parts in another order or grouping: another name by RFC 5280 section 7.1."""
    CHANGED = 4
    """Something that was asked for is missing or is something else."""


class Difference(str):
    """One way in which a certificate is not what was asked for: a text for people, with its parts for programs."""

    __slots__ = ("details", "deviation", "field", "issued", "requested")

    field: str
    """Which part: ``subject``, ``subjectAltName``, ``keyUsage``, ``notAfter``, ... or an extension's identifier."""
    requested: str
    """What was asked for, in words."""
    issued: str
    """What was issued, in words."""
    deviation: Deviation
    """What the policies of :meth:`Config.set_acceptance` judge by."""
    details: str
    """The difference in words, such as ``dns:a.example is missing``."""

    def __new__(cls, field: str, requested: str, issued: str, deviation: Deviation, details: str) -> Difference:
        self = super().__new__(cls, f"{field}: {details}")
        self.field, self.requested, self.issued = field, requested, issued
        self.deviation, self.details = deviation, details
        return self

    def __getnewargs__(self) -> Tuple[Any, ...]:
        return self.field, self.requested, self.issued, self.deviation, self.details


class DifferenceList(Handle):
    """Differences on their way out of the C face; Python programs get tuples."""

    _type = "devid_differences"
    _is_shared = True

    @classmethod
    def of(cls, function: str, parent: Any) -> Tuple[Difference, ...]:
        """Those of an operation or an identity."""
        with cls._made_by(function, parent) as found, found._use() as pointer:
            return differences_of(pointer)


def differences_of(pointer: Any) -> Tuple[Difference, ...]:
    """What a pointer shows that may be lent."""
    lib = library()
    return tuple(
        Difference(
            text_of(lib.devid_differences_field(pointer, index)),
            text_of(lib.devid_differences_requested(pointer, index)),
            text_of(lib.devid_differences_issued(pointer, index)),
            _deviation(lib.devid_differences_deviation(pointer, index)),
            text_of(lib.devid_differences_details(pointer, index)),
        )
        for index in range(lib.devid_differences_count(pointer))
    )


def _deviation(number: int) -> Deviation:
    # What a newer library tells apart, and this version does not, is taken for no less than a change.
    return Deviation(number) if number in set(Deviation) else Deviation.CHANGED
