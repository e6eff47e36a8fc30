"""No integer is cut, and no True or 1.0 becomes a number, on the way to C: every integer parameter of every function is walked."""

from __future__ import annotations

import ctypes
import inspect
from enum import Enum
from typing import Any, Callable, Dict, Iterator, List, Tuple

import pytest

import devid
from devid import _abi
from devid._integers import SIZE, UINT32, Choice, Kind, Switch
from devid._library import library

WALK: List[Tuple[str, int, str, Kind]] = [
    (function, *parameter) for function, parameters in _abi.INTEGERS.items() for parameter in parameters
]


class Number:
    """A whole number of someone else's, as numpy has them."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


def harmless(function: str, position: int, value: Any) -> List[Any]:
    """Arguments with which nothing happens: every handle is NULL."""
    _, parameters = _abi.FUNCTIONS[function]
    arguments: List[Any] = [None] * len(parameters)
    for at, _, kind in _abi.INTEGERS[function]:
        arguments[at] = False if isinstance(kind, Switch) else kind.values[0] if isinstance(kind, Choice) else 0
    arguments[position] = value
    return arguments


def wrong_values(kind: Kind) -> Iterator[Any]:
    yield from (1.0, "1", b"1", None)
    if isinstance(kind, Switch):
        yield from (0, 1, -1, 2)
        return
    yield from (True, False, kind.least - 1, kind.most + 1, -(2**64), 2**64, 2**64 + max(kind.least, 0), Number(kind.most + 1))
    if isinstance(kind, Choice):
        yield from (number for number in range(-2, 70) if number not in kind.values)


@pytest.mark.parametrize(("function", "position", "name", "kind"), WALK, ids=lambda p: p if isinstance(p, str) else "")
def test_what_does_not_fit_is_refused_with_the_name_of_the_parameter(
    function: str, position: int, name: str, kind: Kind
) -> None:
    call = getattr(library(), function)
    for value in wrong_values(kind):
        with pytest.raises((TypeError, devid.UsageError)) as refusal:
            call(*harmless(function, position, value))
        assert name in str(refusal.value), value


def test_no_integer_parameter_is_forgotten() -> None:
    integers = {"c_int32", "c_uint32", "c_int64", "c_uint64", "c_size_t", "c_int", "c_uint", "c_long", "c_ulong"}
    for function, (_, parameters) in _abi.FUNCTIONS.items():
        walked = {position for position, _, _ in _abi.INTEGERS.get(function, ())}
        found = {position for position, kind in enumerate(parameters) if kind.__name__ in integers}
        assert walked == found, function


def test_what_fits_passes_also_as_a_number_of_another_type() -> None:
    with devid.Trust() as trust, devid.Validator(trust, purposes=None, any_name=True) as validator:
        validator.set_status_age(grace_seconds=366 * 86_400, max_age_seconds=2**31, skew_seconds=86_400)
        validator.set_status_age(grace_seconds=Number(5))  # type: ignore[arg-type]
        validator.set_max_intermediates(0)


FALLIBLE = [
    (function, position, name, kind)
    for function, position, name, kind in WALK
    if kind in (UINT32, SIZE) and not name.endswith("_len")
    and getattr(_abi.FUNCTIONS[function][1][-1], "_type_", None) is ctypes.POINTER(_abi.devid_error)
]


@pytest.mark.parametrize(("function", "position", "name", "kind"), FALLIBLE, ids=lambda p: p if isinstance(p, str) else "")
def test_a_negative_number_of_a_c_program_is_not_taken_for_a_large_one(
    function: str, position: int, name: str, kind: Kind
) -> None:
    lib = library()
    # As a C compiler makes it of -1, without a word.
    raw = ctypes.CDLL(lib._name)[function]
    raw.restype, raw.argtypes = ctypes.c_int32, _abi.FUNCTIONS[function][1]
    most = 2**32 if kind is UINT32 else 2 ** (8 * ctypes.sizeof(ctypes.c_size_t))
    for value, is_refused in ((-1, True), (-60, True), (-65_536, True), (2**31 - 1, False), (0, False)):
        error = ctypes.POINTER(_abi.devid_error)()
        arguments = harmless(function, position, value % most)
        status = raw(*arguments[:-1], ctypes.byref(error))
        words = lib.devid_error_message(error).decode()
        lib.devid_error_free(error)
        is_named = words.startswith(f"{name} is {value % most}, which is {value} ")
        assert is_named is is_refused and (status == devid.Code.INVALID_ARGUMENT or not is_refused), words


@pytest.mark.parametrize(
    "age", [{"grace_seconds": 366 * 86_400 + 1}, {"grace_seconds": 2**31}, {"skew_seconds": 86_401}], ids=str
)
def test_no_age_is_taken_that_bounds_nothing(age: Dict[str, int]) -> None:
    with devid.Trust() as trust, devid.Validator(trust, purposes=None, any_name=True) as validator:
        with pytest.raises(devid.UsageError) as refused:
            validator.set_status_age(**age)
        assert next(iter(age)) in str(refused.value)
        with pytest.raises(devid.UsageError):
            devid.Validator(trust, purposes=None, any_name=True, clock_skew_seconds=86_401)
    with devid.Config("http://127.0.0.1:1/") as config:
        with pytest.raises(devid.UsageError):
            config.set_clock_skew(86_401)


def switches_and_numbers(method: Any) -> List[Tuple[str, Any]]:
    """The parameters of a method that are numbers or switches, with their types."""
    found = []
    for name, parameter in list(inspect.signature(method).parameters.items())[1:]:
        kind = {"bool": bool, "int": int}.get(parameter.annotation, getattr(devid, parameter.annotation, None))
        if kind in (bool, int) or (isinstance(kind, type) and issubclass(kind, Enum)):
            found.append((name, kind))
    return found


METHODS = [
    (kind, name)
    for kind in (devid.Config, devid.Validator, devid.Fetcher)
    for name, method in inspect.getmembers(kind, inspect.isfunction)
    if not name.startswith("_") and switches_and_numbers(method)
]


@pytest.mark.parametrize(("kind", "name"), METHODS, ids=lambda p: p if isinstance(p, str) else p.__name__)
def test_methods_take_no_bool_for_a_number_and_no_number_for_a_switch(kind: Any, name: str) -> None:
    with devid.Trust() as trust:
        makers: Dict[Any, Callable[[], Any]] = {
            devid.Config: lambda: devid.Config("http://127.0.0.1:1/"),
            devid.Validator: lambda: devid.Validator(trust, purposes=None, any_name=True),
            devid.Fetcher: devid.Fetcher,
        }
        made = makers[kind]()
    method = getattr(made, name)
    wanted = switches_and_numbers(getattr(kind, name))
    others = {
        parameter.name: "max_polls" if kind is devid.Config else "max_crl_bytes"
        for parameter in inspect.signature(method).parameters.values()
        if parameter.default is inspect.Parameter.empty and parameter.name not in dict(wanted)
    }
    if name == "set_tolerance":
        others = {"name": "unprotected_errors"}
    if not set(others) <= {"name"}:
        pytest.skip("takes more than numbers: test_gate and others")
    right = {n: True if t is bool else 1 if t is int else next(iter(t)) for n, t in wanted}
    for parameter, its_type in wanted:
        for wrong in (1, 0, "no", None) if its_type is bool else (True, False, 1.0, -(2**31) - 1, 2**64):
            with pytest.raises((TypeError, ValueError)) as refusal:
                method(**{**others, **right, parameter: wrong})
            assert not isinstance(refusal.value, devid.InputError), wrong


@pytest.mark.parametrize("value", [True, False, 0, 1])
def test_no_small_number_turns_a_check_off(value: Any) -> None:
    with devid.Trust() as trust:
        with pytest.raises((TypeError, devid.UsageError)):
            devid.Validator(trust, purposes=None, any_name=True, revocation=value)
        with devid.Validator(trust, purposes=None, any_name=True) as validator:
            calls: List[Callable[[], Any]] = [
                lambda: validator.set_max_intermediates(-1),
                lambda: validator.set_status_age(max_age_seconds=-1),
                lambda: validator.set_use_until(-1),
            ]
            for refused in calls:
                with pytest.raises(devid.UsageError):
                    refused()
    with devid.Config("http://127.0.0.1:1/") as config:
        with pytest.raises((TypeError, devid.UsageError)):
            config.set_signer_revocation(value)
        with pytest.raises(devid.UsageError):
            config.set_time_window(-1)
