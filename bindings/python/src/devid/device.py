"""The easy way in: a device as a whole, by a settings file or a few values."""

from __future__ import annotations

import json
import os
from ctypes import byref, c_int32, c_uint32
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Tuple, Union

from . import _abi
from ._blocking import Cancel, blocking_call, switch_for
from ._call import Moment, bytes_of, call, moment_or, text
from ._handle import Handle
from .certificate import Certificates, encoded
from .errors import Error, UsageError
from .renewal import Done
from .store import Store
from .validation import Peer

PathLike = Union[str, "os.PathLike[str]"]

Setting = Union[str, int, float, bool, bytes, "os.PathLike[str]", Sequence[PathLike]]
"""A value of a setting."""


@dataclass(frozen=True)
class Kept:
    """What :meth:`Device.keep` did."""

    done: Done
    """``INSTALLED``, ``WAITING`` or ``NOTHING``."""
    again: timedelta
    """When to call again."""


class Device(Handle):
    """A device: its settings, its memory, and what is due.

    ``Device("/etc/devid/devid.toml")`` reads the command's settings file. ``Device(memory=..., server=..., trust=...,
    subject=..., reference=..., secret=...)`` takes the six values that a first certificate needs; ``secret`` is named by its
    source, such as ``file:/etc/devid/secret``. :meth:`set` takes any other setting by its name.
    """

    _type = "devid_device"

    def __init__(
        self,
        settings: Optional[PathLike] = None,
        *,
        memory: Optional[PathLike] = None,
        server: Optional[str] = None,
        trust: Union[PathLike, Sequence[PathLike], None] = None,
        subject: Optional[str] = None,
        reference: Union[str, bytes, None] = None,
        secret: Optional[str] = None,
        identity: str = "device",
    ) -> None:
        """Device memory is made where it is missing. ``identity``: what ``subject`` is asked for."""
        if (settings is None) == (memory is None):
            raise TypeError("Device takes a settings file, or memory= and values")
        if settings is not None:
            self._own(self._pointer_from("devid_device_open", text(os.fspath(settings), "settings")))
        else:
            assert memory is not None
            self._own(self._pointer_from("devid_device_new", text(os.fspath(memory), "memory")))
        values: Dict[str, Any] = {
            "ca.server": server if server is None else _words(server, "server", "a URL"),
            "ca.trust.all": None if trust is None else [_path(one, "trust") for one in _several(trust)],
            "ca.login.reference": reference,
            "ca.login.secret": None if secret is None else _words(secret, "secret", "its source, such as file:PATH"),
            f"identity.{identity}.subject": None if subject is None else _words(subject, "subject", "a name in text"),
        }
        try:
            for key, value in values.items():
                if value is not None:
                    self.set(key, _quoted(value) if isinstance(value, str) else value)
        except BaseException:
            self.close()
            raise

    def set(self, key: str, value: Setting) -> None:
        """Sets one setting by its name in the settings file, such as ``ca.http.total``: text, a number, True, a path, a list of
        texts or paths. ``ca.login.reference`` takes octets, too."""
        with self._use() as device:
            call("devid_device_set", device, text(key, "key"), text(_written(key, value), "value"))

    def keep(
        self, now: Optional[Moment] = None, *, longest_wait: float = 60, cancel: Optional[Cancel] = None
    ) -> Kept:
        """Does whatever is due, once: first certificate, what was begun, renewal, a root's successor, and the lasting exports of the
        settings. The programs that the settings name (an export's ``then``, ``hooks``) are for the command alone: they are not run.

        ``now``: the present, if it is not the system's clock that tells it. Waits that the CA asks for are slept through up to
        ``longest_wait`` seconds; longer ones end the call, and the next one goes on. What goes wrong is raised, remembered,
        and tried again when it is due. It ends when the handler of a signal raises, or with ``CANCELLED`` when ``cancel`` is
        triggered: what is under way stays in device memory. What was done before something went wrong, such as a certificate that
        came and could not be exported, and when to call again, is the error's :attr:`Error.kept`.
        """
        wait, done, again = _wait(longest_wait), c_int32(), c_uint32()
        with self._use() as device, switch_for(cancel) as switch, switch._use() as pointer:
            how = pointer, _moment(now), wait, byref(done), byref(again)
            try:
                blocking_call(switch, "devid_device_keep_unless", device, *how)
            except Error as error:
                if done.value or again.value:
                    error.kept = Kept(Done(done.value), timedelta(seconds=again.value))
                raise
        return Kept(Done(done.value), timedelta(seconds=again.value))

    def export(self, identity: str, layout: str, folder: PathLike) -> None:
        """Writes the identity in use for other software: ``pem openssl nginx strongswan mosquitto``."""
        with self._use() as device:
            arguments = text(identity, "identity"), text(layout, "layout"), text(os.fspath(folder), "folder")
            call("devid_device_export", device, *arguments)

    def files(self, identity: str, folder: PathLike) -> Tuple[Path, Path]:
        """Certificate with chain, and private key, as files in ``folder``: for what takes paths, such as
        ``ssl.SSLContext.load_cert_chain``. Both are of one generation, and stay until the identity has changed twice more;
        written anew where they are not as they should be. May be called from several threads and processes."""
        self.export(identity, "nginx", folder)
        # What "current" leads to may change between two looks.
        files = Path(folder) / os.readlink(Path(folder) / "current")
        return files / "fullchain.pem", files / "privkey.pem"

    def certificate(self, identity: str) -> str:
        """The certificate in use and those above it, PEM."""
        return self._pem(identity, _abi.DEVID_PART_FULL_CHAIN).decode("ascii")

    def private_key(self, identity: str) -> bytes:
        """The private key in use, PEM; :class:`UsageError` if it cannot leave its home."""
        return self._pem(identity, _abi.DEVID_PART_KEY)

    def key_and_certificate(self, identity: str) -> Tuple[bytes, str]:
        """The private key, and the certificate in use with those above it, PEM: both of one generation, which two calls of
        :meth:`private_key` and :meth:`certificate` are not sure to be."""
        bundle = self._pem(identity, _abi.DEVID_PART_BUNDLE)
        begin = bundle.index(b"-----BEGIN CERTIFICATE")
        return bundle[:begin], bundle[begin:].decode("ascii")

    def anchors(self, identity: str) -> str:
        """The roots that certificates issued to the device must lead to, PEM."""
        return self._pem(identity, _abi.DEVID_PART_ANCHORS).decode("ascii")

    def _pem(self, identity: str, part: int) -> bytes:
        with self._use() as device:
            return bytes_of("devid_device_pem", device, text(identity, "identity"), part)

    def store(self) -> Store:
        """The device's memory, which is the device's own: for everything that there is no method for here."""
        with self._use() as device:
            return Store._made_by("devid_device_store", device)

    def check(self, sent: Certificates, *, name: str, now: Optional[Moment] = None) -> Peer:
        """Validates what a peer sent by the settings under ``peers``; raises why it is not to be believed.

        ``sent``: its certificate first: PEM or DER, the path of a file, or a list. ``name``: ``dns:HOST``, ``ip:ADDRESS``, ``email:MAILBOX``, ``uri:URI``, or
        ``any`` if the caller knows otherwise who it is.
        """
        content = encoded(sent, "sent")
        with self._use() as device:
            return Peer._made_by(
                "devid_device_check", device, content, len(content), text(name, "name"), _moment(now)
            )

    def status(self, now: Optional[Moment] = None) -> Dict[str, Any]:
        """How every identity stands, as ``devid status --json`` tells it."""
        with self._use() as device:
            document: Dict[str, Any] = json.loads(bytes_of("devid_device_status", device, _moment(now)))
        return document


def _moment(now: Optional[Moment]) -> int:
    return moment_or(now, "now", _abi.DEVID_NOW)


def _wait(longest: Any) -> int:
    if isinstance(longest, bool) or not isinstance(longest, (int, float)):
        raise TypeError(f"longest_wait must be a number of seconds, not {type(longest).__name__}")
    # What is no number is in no range.
    if not 0 <= longest < 2**32:
        raise UsageError(f"longest_wait must be 0 to {2**32 - 1} seconds, not {longest}", _abi.Code.INVALID_ARGUMENT)
    return int(longest)


def _quoted(value: str) -> str:
    """Text that stays text, whatever it looks like: JSON strings are TOML strings, but for pairs of surrogates."""
    return json.dumps(value, ensure_ascii=False)


def _several(paths: Union[PathLike, Sequence[PathLike]]) -> Sequence[Any]:
    return paths if isinstance(paths, (list, tuple)) else [paths]


def _path(value: Any, what: str) -> str:
    """A path in text. What stands in a file is none."""
    if isinstance(value, (str, os.PathLike)):
        path = os.fspath(value)
        if isinstance(path, str):
            return path
    raise TypeError(f"{what}: expected the path of a file, found {type(value).__name__}")


def _words(value: Any, what: str, expected: str) -> str:
    if isinstance(value, str):
        return value
    raise TypeError(f"{what}: expected {expected}, found {type(value).__name__}")


def _written(key: str, value: Any) -> str:
    """A value as it stands in the settings file; text as it is."""
    if isinstance(value, bytes) and key == "ca.login.reference":
        return _quoted("hex:" + value.hex())
    if isinstance(value, os.PathLike):
        return _quoted(_path(value, key))
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or isinstance(value, (int, float)):
        return json.dumps(value)
    if isinstance(value, (list, tuple)):
        return json.dumps([one if isinstance(one, (int, float)) else _path(one, key) for one in value], ensure_ascii=False)
    raise TypeError(f"{key}: expected text, a number, True or False, a path or a list, found {type(value).__name__}")
