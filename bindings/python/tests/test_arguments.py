"""An argument of the wrong class is a TypeError that names the parameter, wherever an object is taken."""

from __future__ import annotations

import inspect
import sys
import typing
from ctypes import POINTER
from datetime import timedelta
from typing import Any, Callable, Dict, Iterator, List, Tuple

import pytest

import devid
from devid import _abi
from devid._handle import Handle
from devid.testing import TestCa


class Stranger:
    """What nothing takes."""


def classes_in(hint: Any) -> List[type]:
    """All classes that a parameter takes, those in lists and tuples too."""
    if isinstance(hint, type) and not typing.get_args(hint):
        return [hint]
    return [one for part in (typing.get_origin(hint), *typing.get_args(hint)) if part is not None for one in classes_in(part)]


def hints_of(function: Callable[..., Any]) -> Dict[str, Any]:
    known: Dict[str, Any] = {**vars(devid), **vars(sys.modules[function.__module__])}
    return typing.get_type_hints(function, known)


def doors() -> Iterator[Tuple[str, Any, Callable[..., Any]]]:
    """Every public function, maker and method, with the class that a method is of."""
    for name in devid.__all__:
        public = getattr(devid, name)
        if inspect.isfunction(public):
            yield name, None, public
        elif inspect.isclass(public) and issubclass(public, (Handle, devid.Subject)):
            for own, member in vars(public).items():
                member = getattr(member, "__func__", member)
                if inspect.isfunction(member) and (own == "__init__" or not own.startswith("_")):
                    yield f"{name}.{own}", public, member


def taking_objects() -> List[Any]:
    found = []
    for name, owner, function in doors():
        hints = hints_of(function)
        for parameter in inspect.signature(function).parameters:
            if any(issubclass(one, (Handle, devid.Subject)) for one in classes_in(hints.get(parameter, int))):
                found.append(pytest.param(owner, function, parameter, id=f"{name}-{parameter}"))
    return found


MORE: Dict[str, Dict[str, Any]] = {
    "Fetcher.look_up": {"name": "router"},
    "Store.export": {"layout": "pem"},
    "Validator.__init__": {"any_name": True, "purposes": None},
}
"""What else a call must be told, so that it is right but for one argument."""


def nothing(kind: Any) -> Any:
    """An object of a class, with NULL behind it, which C refuses."""
    return kind._adopt(POINTER(getattr(_abi, kind._type))())


@pytest.mark.parametrize("owner, function, parameter", taking_objects())
def test_what_is_of_another_class_is_refused_by_its_name(
    owner: Any, function: Callable[..., Any], parameter: str, devid_testca: TestCa
) -> None:
    config = devid.Config(devid_testca.cmp_url, enrolment_anchors=devid_testca.root)
    config.set_secret("4711", "secret")
    own: List[Any] = [config, devid.Client(config), devid.Key.generate(), devid.Store.in_memory(), devid.Trust()]
    own += [devid.Certificate.parse(devid_testca.root), devid.Subject("CN=device"), devid.Fetcher(), b"octets", "words", 1]

    def of(hint: Any) -> Any:
        wanted = classes_in(hint)
        for thing in own:
            if type(thing) in wanted:
                return thing
        return nothing(wanted[0])

    hints, arguments = hints_of(function), {}
    for name, place in inspect.signature(function).parameters.items():
        if name == "self":
            arguments[name] = next((thing for thing in own if type(thing) is owner), None) or nothing(owner)
        elif name == "cls":
            arguments[name] = owner
        elif name == parameter:
            tuples = [one for one in typing.get_args(hints[name]) if typing.get_origin(one) is tuple]
            one_of_several = [tuple(Stranger() for _ in typing.get_args(one)) for one in tuples]
            arguments[name] = one_of_several or Stranger()
        elif place.default is place.empty:
            arguments[name] = of(hints[name])
    arguments.update(MORE.get(function.__qualname__, {}))
    if parameter == "wanted":
        parameter = "key|subject|certificate"
    with pytest.raises(TypeError, match=f"^({parameter}|certificates)( must be|: expected) .*, (not|found) Stranger$"):
        function(**arguments)


def test_what_is_made_by_others_says_by_whom() -> None:
    with pytest.raises(TypeError, match="Certificate.parse"):
        devid.Certificate(b"-----BEGIN CERTIFICATE-----")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="documented to make them"):
        devid.Operation(client=None)  # type: ignore[call-arg]


def test_a_subclass_that_makes_nothing_says_so() -> None:
    class Mine(devid.Device):
        def __init__(self) -> None:
            pass

    with pytest.raises(devid.UsageError, match="Mine was not made"):
        Mine().keep()
    mine = Mine()
    mine.close()
    assert mine.closed and "closed" in repr(mine)


def test_a_wait_is_a_number_of_seconds(tmp_path: Any) -> None:
    with devid.Device(memory=tmp_path / "memory") as device:
        wrong: List[Any] = ["5", True, None, timedelta(seconds=5)]
        for value in wrong:
            with pytest.raises(TypeError, match=f"longest_wait must be a number of seconds, not {type(value).__name__}"):
                device.keep(longest_wait=value)
        for number in (float("nan"), float("inf"), -1, 2**32):
            with pytest.raises(devid.UsageError, match="longest_wait must be 0 to 4294967295 seconds") as refused:
                device.keep(longest_wait=number)
            assert refused.value.kept is None
