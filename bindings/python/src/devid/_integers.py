"""Integers on their way to C. ctypes cuts what does not fit and takes True for 1: here it is refused, with the parameter's name."""

from __future__ import annotations

import operator
from typing import Any


class Kind:
    """What an integer parameter of C takes: whole numbers of a range."""

    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = least, most

    def check(self, value: Any, name: str) -> int:
        """The number to hand to C. TypeError for what is no whole number (bool is none), UsageError for what does not fit."""
        number = _whole(value, name)
        if not self.least <= number <= self.most:
            raise _refusal(f"{name} must be {self.least} to {self.most}, not {number}")
        return number


class Choice(Kind):
    """A parameter that takes the constants of one enumeration."""

    def __init__(self, constants: str, *values: int) -> None:
        super().__init__(min(values), max(values))
        self.constants, self.values = constants, values

    def check(self, value: Any, name: str) -> int:
        number = _whole(value, name)
        if number not in self.values:
            raise _refusal(f"{name} must be one of {self.constants}, not {number}")
        return number


class Switch(Kind):
    """A parameter that is on or off."""

    def check(self, value: Any, name: str) -> int:
        if not isinstance(value, bool):
            raise TypeError(f"{name} must be True or False, not {type(value).__name__}")
        return int(value)


INT32 = Kind(-(2**31), 2**31 - 1)
UINT32 = Kind(0, 2**32 - 1)
INT64 = Kind(-(2**63), 2**63 - 1)
SIZE = Kind(0, 2**63 - 1)
"""Of what lies in memory, so that no length is above the largest signed one."""
SWITCH = Switch(0, 1)


def _refusal(words: str) -> Exception:
    from ._abi import Code
    from .errors import UsageError  # the prototypes come first, and they know this module

    return UsageError(words, Code.INVALID_ARGUMENT)


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not bool")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an int, not {type(value).__name__}") from None


def unless_none(value: Any, name: str, for_none: int) -> int:
    """A number that is not negative, or None, which C knows by a negative number."""
    if value is None:
        return for_none
    number = _whole(value, name)
    if number < 0:
        raise _refusal(f"{name} must be None or a number from 0, not {number}")
    return number


def switch(value: Any, name: str) -> bool:
    """Something that Python itself decides by: True or False, nothing that only counts as one of them."""
    return bool(SWITCH.check(value, name))

