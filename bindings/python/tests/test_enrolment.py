"""A device and OpenSSL's mock server: what a Python program sees when things go well, and when they do not."""

from __future__ import annotations

import http.client
import logging
import threading
import time
import urllib.parse
from typing import List

import pytest
from conftest import Bench

import devid


class Line:
    """One connection by Python's own HTTP client: the mock server forgets what is polled for when it ends."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        self._path, self._connection = parts.path, http.client.HTTPConnection(parts.netloc, timeout=20)

    def __call__(self, request: bytes) -> bytes:
        self._connection.request("POST", self._path, request, {"Content-Type": "application/pkixcmp"})
        return self._connection.getresponse().read()


def test_device_enrols_by_secret(bench: Bench) -> None:
    with bench.serve() as server, bench.client(server) as client, bench.new_key as key:
        with client.enroll(key, "CN=device") as operation:
            issued = operation.run()
            assert issued.certificate == bench.certificate
            assert issued.differences == () and issued.pki_status is devid.PkiStatus.ACCEPTED
            assert [c.subject for c in issued.issuers] == ["CN=Interop Root"]
            assert issued.pem == bench.certificate.pem, "the root need not be sent along"
            assert operation.run().certificate == issued.certificate, "a finished operation stays finished"


def test_device_enrols_with_its_supplier_certificate_and_renews(bench: Bench) -> None:
    key, certificate = bench.idevid()
    with bench.serve() as server, bench.config(server) as config:
        config.set_credential(key, certificate)
        issued = devid.Client(config).enroll(bench.new_key, devid.Subject("CN=device")).run()
        assert issued.certificate == bench.certificate
    current = bench.material.current["P-256"]
    with bench.serve("kur") as server, bench.config(server) as config:
        config.set_credential(devid.Key.load(current.key.read_bytes()), current.certificate.read_bytes())
        assert devid.Client(config).renew(bench.new_key).run().certificate == bench.certificate


def test_server_that_says_waiting_is_polled_while_the_program_waits(bench: Bench) -> None:
    waits: List[int] = []

    def wait(wait_seconds: int) -> None:
        waits.append(wait_seconds)
        time.sleep(wait_seconds)

    with bench.serve(is_polled=True) as server, bench.client(server) as client:
        issued = client.enroll(bench.new_key, "CN=device").run(wait=wait)
    assert issued.certificate == bench.certificate and waits == [1]


def test_stepped_operation_needs_neither_clock_nor_sockets(bench: Bench) -> None:
    sent: List[str] = []
    with bench.serve() as server, bench.client(server) as client:
        line = Line(server.url)
        operation = client.enroll(bench.new_key, "CN=device")
        now = int(time.time())
        while (action := operation.step(now)) is not devid.Action.DONE:
            if action is devid.Action.SEND:
                assert operation.output_name and operation.output
                sent.append(operation.output_name)
                operation.feed(bytearray(line(operation.output)))
            else:
                assert action is devid.Action.ACCEPT and operation.issued
                operation.accept()
        assert sent == ["ir", "certConf"] and operation.issued
        assert operation.issued.certificate == bench.certificate


def test_rejection_arrives_with_status_bits_and_words(bench: Bench) -> None:
    with bench.serve(ending="rejection") as server, bench.client(server) as client:
        with pytest.raises(devid.ProtocolError, match="badPOP") as refused:
            client.enroll(bench.new_key, "CN=device").run()
    error = refused.value
    assert error.code is devid.Code.REJECTED and error.name == "REJECTED"
    assert error.pki_status is devid.PkiStatus.REJECTION
    assert error.fail_info == devid.FailInfo.BAD_POP and devid.FailInfo.BAD_POP in error.fail_info
    assert error.server_texts == ("key is on the list",) and error.server_authenticated


def test_wrong_secret_is_a_protocol_error(bench: Bench) -> None:
    with bench.serve() as server, bench.client(server, b"battery-staple") as client:
        with pytest.raises(devid.ProtocolError) as refused:
            client.enroll(bench.new_key, "CN=device").run()
    assert refused.value.code is devid.Code.PROTECTION_INVALID


def test_server_under_another_root_is_not_believed(bench: Bench) -> None:
    key, certificate = bench.idevid()
    with bench.serve() as server:
        config = devid.Config(server.url, cmp_anchors=bench.material.stranger.certificate.read_bytes())
        config.add_enrolment_anchors(bench.anchors)
        config.set_credential(key, certificate)
        with pytest.raises(devid.ProtocolError) as refused:
            devid.Client(config).enroll(bench.new_key, "CN=device").run()
    assert refused.value.code is devid.Code.PROTECTION_INVALID


def test_certificate_that_is_not_what_was_asked_for_is_taken_as_the_policy_or_the_program_says(bench: Bench) -> None:
    with bench.serve(ending="grantedWithMods") as server:
        with bench.config(server) as config:
            config.set_secret(bench.reference, bench.secret)
            config.set_acceptance("exact")
            exact = devid.Client(config)
        with exact, bench.client(server) as client:
            with pytest.raises(devid.ProtocolError) as refused:
                exact.enroll(bench.new_key, "CN=device").run()
            assert refused.value.code is devid.Code.REFUSED
            assert "subject" in refused.value.message

            # By default, what the CA added is taken, and told.
            added = client.enroll(bench.new_key, "CN=device").run()
            (told,) = added.differences
            assert told == f"{told.field}: {told.details}" and (told.field, told.deviation) == ("subject", devid.Deviation.ADDED)
            assert told.requested == "CN=device" and told.issued == added.certificate.subject

            seen: List[devid.Issued] = []

            def take(issued: devid.Issued) -> bool:
                seen.append(issued)
                return True

            issued = exact.enroll(bench.new_key, "CN=device").run(decide=take)
            assert issued.pki_status is devid.PkiStatus.GRANTED_WITH_MODS
            assert [(one.field, one.deviation) for one in seen[0].differences] == [("subject", devid.Deviation.ADDED)]
            assert seen[0].differences == issued.differences == added.differences
            assert seen[0].certificate == issued.certificate and seen[0].issuers == issued.issuers


def test_program_that_decides_against_the_certificate_tells_the_server(bench: Bench) -> None:
    with bench.serve() as server, bench.client(server) as client:
        with pytest.raises(devid.ProtocolError) as refused:
            client.enroll(bench.new_key, "CN=device").run(decide=lambda _: False)
        assert refused.value.code is devid.Code.REFUSED


@pytest.mark.parametrize("verdict", [None, 1, "yes"])
def test_decision_that_is_neither_true_nor_false_is_none(bench: Bench, verdict: object) -> None:
    with bench.serve() as server, bench.client(server) as client:
        operation = client.enroll(bench.new_key, "CN=device")
        with pytest.raises(TypeError, match="True or False"):
            operation.run(decide=lambda _: verdict)  # type: ignore[arg-type, return-value]
        assert operation.run(decide=lambda _: True).certificate == bench.certificate


class FlashIsFull(Exception):
    """Raised by a callback."""


def test_exception_of_a_decision_comes_out_and_the_operation_goes_on_later(bench: Bench) -> None:
    def install(_: devid.Issued) -> bool:
        raise FlashIsFull("42 bytes left")

    with bench.serve() as server, bench.client(server) as client:
        operation = client.enroll(bench.new_key, "CN=device")
        with pytest.raises(FlashIsFull, match="42 bytes"):
            operation.run(decide=install)
        assert operation.run().certificate == bench.certificate


def test_exception_of_the_exchange_comes_out_and_the_operation_goes_on_later(bench: Bench) -> None:
    def unplugged(_: bytes) -> bytes:
        raise ConnectionResetError("cable")

    with bench.serve() as server, bench.client(server) as client:
        operation = client.enroll(bench.new_key, "CN=device")
        with pytest.raises(ConnectionResetError, match="cable"):
            operation.run(exchange=unplugged)
        issued = operation.run(exchange=Line(server.url))
        assert issued.certificate == bench.certificate


def test_exchange_that_answers_no_bytes_is_a_type_error(bench: Bench) -> None:
    with bench.serve() as server, bench.client(server) as client:
        with pytest.raises(TypeError, match="bytes-like"):
            client.enroll(bench.new_key, "CN=device").run(exchange=lambda _: "<html>")  # type: ignore[arg-type, return-value]


def test_exchange_that_answers_garbage_is_an_error_of_the_protocol(bench: Bench) -> None:
    with bench.serve() as server, bench.client(server) as client:
        for garbage in (b"<html>", b"\x30\x80", b"\x30\x03\x02\x01\x02"):
            with pytest.raises(devid.Error) as refused:
                client.enroll(bench.new_key, "CN=device").run(exchange=lambda _, g=garbage: g)  # type: ignore[misc]
            assert refused.value.phase == "ir" and not isinstance(refused.value, devid.InternalError)


class BatteryLow(Exception):
    """Raised by a callback."""


def test_operation_survives_the_process_that_began_it(bench: Bench) -> None:
    def no_time(_: int) -> None:
        raise BatteryLow

    with bench.serve(is_polled=True) as server:
        line = Line(server.url)
        with bench.client(server) as client, client.enroll(bench.new_key, "CN=device") as operation:
            with pytest.raises(BatteryLow):
                operation.run(wait=no_time, exchange=line)
            saved = operation.save()
        assert devid.saved_key(saved) == bench.new_key.public_key
        with bench.client(server) as client:
            with pytest.raises(devid.CryptoError):
                client.restore(devid.Key.generate(), saved)
            with pytest.raises(devid.Error):
                client.restore(bench.new_key, saved[:-1])
            assert client.restore(bench.new_key, saved).run(exchange=line).certificate == bench.certificate


def test_dead_server_is_a_transport_error_and_can_be_tried_again(bench: Bench) -> None:
    with bench.serve() as server:
        pass
    with bench.client(server) as client:
        operation = client.enroll(bench.new_key, "CN=device")
        with pytest.raises(devid.TransportError) as refused:
            operation.run()
    assert isinstance(refused.value, OSError) and refused.value.phase == "ir"
    assert refused.value.code is devid.Code.CONNECT
    with bench.serve() as server:
        issued = operation.run(exchange=Line(server.url))
        assert issued.certificate == bench.certificate


def test_external_keys_sign_request_and_protection(bench: Bench) -> None:
    asked: List[str] = []

    def elsewhere(key: devid.Key, name: str) -> devid.Key:
        def sign(algorithm: str, message: bytes) -> bytes:
            asked.append(name)
            return key.sign(message, algorithm)

        return devid.Key.external(key.public_key, sign)

    key, certificate = bench.idevid()
    with bench.serve() as server, bench.config(server) as config:
        config.set_credential(elsewhere(key, "protection"), certificate)
        issued = devid.Client(config).enroll(elsewhere(bench.new_key, "new key"), "CN=device").run()
    assert issued.certificate == bench.certificate
    assert asked == ["new key", "protection", "protection"], "request, and certConf"


def test_exception_of_an_external_key_comes_out_of_the_run(bench: Bench) -> None:
    class TokenIsLocked(Exception):
        pass

    def locked(_algorithm: str, _message: bytes) -> bytes:
        raise TokenIsLocked

    key, certificate = bench.idevid()
    with bench.serve() as server, bench.config(server) as config:
        config.set_credential(devid.Key.external(key.public_key, locked), certificate)
        with pytest.raises(TokenIsLocked):
            devid.Client(config).enroll(bench.new_key, "CN=device").run()


def test_operation_cannot_be_used_from_inside_its_own_callback(bench: Bench) -> None:
    with bench.serve() as server, bench.client(server) as client:
        operation = client.enroll(bench.new_key, "CN=device")

        def exchange(_: bytes) -> bytes:
            operation.step(int(time.time()))
            return b""

        with pytest.raises(devid.UsageError) as refused:
            operation.run(exchange=exchange)
        assert refused.value.code is devid.Code.REENTRANT


def test_operation_closed_from_inside_its_own_callback_is_freed_after_the_run(bench: Bench) -> None:
    with bench.serve() as server, bench.client(server) as client:
        operation = client.enroll(bench.new_key, "CN=device")

        def exchange(request: bytes) -> bytes:
            operation.close()
            return line(request)

        line = Line(server.url)
        assert operation.run(exchange=exchange).certificate == bench.certificate
        with pytest.raises(devid.UsageError, match="closed"):
            operation.step(0)


def test_one_client_serves_operations_in_several_threads(bench: Bench) -> None:
    issued: List[devid.Issued] = []
    failures: List[BaseException] = []
    servers = [bench.serve() for _ in range(3)]
    try:
        client = bench.client(servers[0])

        def enrol(url: str) -> None:
            try:
                operation = client.enroll(bench.new_key, "CN=device")
                issued.append(operation.run(exchange=Line(url)))
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=enrol, args=(server.url,)) for server in servers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        for server in servers:
            server.__exit__()
    assert not failures and len(issued) == 3


def test_two_threads_take_turns_with_one_operation(bench: Bench) -> None:
    with bench.serve() as server, bench.client(server) as client:
        operation = client.enroll(bench.new_key, "CN=device")
        issued: List[devid.Issued] = []
        threads = [threading.Thread(target=lambda: issued.append(operation.run())) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [i.certificate for i in issued] == [bench.certificate] * 2


def test_logger_is_told_what_happens_without_secrets(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with bench.serve() as server, bench.config(server) as config:
        config.set_secret(bench.reference, bench.secret)
        config.set_logger(logging.getLogger("device"))
        devid.Client(config).enroll(bench.new_key, "CN=device").run()
    assert "certConf" in caplog.text and bench.secret.decode() not in caplog.text


def test_settings_that_are_missing_or_wrong_are_refused_by_name(bench: Bench) -> None:
    with devid.Config("http://127.0.0.1/") as config:
        with pytest.raises(devid.UsageError, match="credential"):
            devid.Client(config)
        with pytest.raises(devid.UsageError):
            config.set_limit("max_coffee", 3)
        with pytest.raises(devid.UsageError):
            config.set_tolerance("forged_answers", True)
        with pytest.raises(devid.UsageError):
            config.set_mac(mac="SHA256")
        with pytest.raises(devid.Error):
            config.set_recipient("no name at all")
        with pytest.raises(devid.UsageError, match="NUL"):
            config.set_server("http://ca\0.example/")
        with pytest.raises(devid.CryptoError) as refused:
            config.set_credential(devid.Key.generate(), bench.idevid()[1])
        assert refused.value.code is devid.Code.KEY_MISMATCH


def test_subject_in_wrong_words_is_refused(bench: Bench) -> None:
    with bench.serve() as server, bench.client(server) as client, devid.Key.generate() as key:
        for wrong in (
            devid.Subject(),
            devid.Subject("CN=a", dns=["two words"]),
            devid.Subject("CN=a", ip=["300.1.1.1"]),
            devid.Subject("CN=a", key_usages=["signing"]),
            devid.Subject("CN=a", extensions=[("not.an.oid", False, b"")]),
            devid.Subject("CN=a\0b"),
        ):
            with pytest.raises((devid.UsageError, devid.InputError)):
                client.enroll(key, wrong)
        with pytest.raises(TypeError, match="several"):
            devid.Subject(dns="a.example")


def test_client_keeps_the_settings_it_was_made_with(bench: Bench) -> None:
    with bench.serve() as server:
        config = bench.config(server)
        config.set_secret(bench.reference, bench.secret)
        client = devid.Client(config)
        config.set_server("http://127.0.0.1:1/")
        config.close()
        assert client.enroll(bench.new_key, "CN=device").run().certificate == bench.certificate
