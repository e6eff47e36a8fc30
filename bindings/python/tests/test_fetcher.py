"""What a validation lacks is fetched from those whom certificates name, and kept in device memory."""

from __future__ import annotations

import contextlib
import http.server
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Optional

import pytest

import devid
from devid.testing import TestCa

def now() -> int:
    """Seconds since 1970, taken when what it judges was made already."""
    return int(time.time())


@pytest.fixture
def own_ca() -> Iterator[TestCa]:
    """A CA for those who revoke peers that others need."""
    with TestCa() as ca:
        yield ca


def peer_certificate(ca: TestCa, name: str = "good") -> devid.Certificate:
    return devid.Certificate.parse(ca.read(f"peer-{name}.pem"))


def validator(ca: TestCa, name: str = "good", **settings: Any) -> devid.Validator:
    settings.setdefault("scope", devid.Scope.LEAF)
    settings.setdefault("intermediates", ca.read("issuing.pem"))
    return devid.Validator(
        devid.Trust(ca.root), purposes=["serverAuth"], dns=[f"{name}.peer.example"], revocation=devid.Revocation.HARD, **settings
    )


class Directory:
    """A fetch function of the program's own."""

    def __init__(self, answer: Optional[bytes] = None) -> None:
        self.answer, self.asked = answer, []  # type: Optional[bytes], List[str]

    def __call__(self, url: str, request: Optional[bytes], max_len: int) -> bytes:
        self.asked.append(url)
        if self.answer is None:
            raise ConnectionError("the directory is closed")
        return self.answer


@pytest.mark.parametrize("prefer", devid.Prefer)
def test_status_is_fetched_and_nobody_is_asked_again(devid_testca: TestCa, prefer: devid.Prefer, tmp_path: Path) -> None:
    checks, certificate = validator(devid_testca, prefer=prefer), peer_certificate(devid_testca)
    with pytest.raises(devid.ValidationError):
        checks.validate(certificate, now())
    with devid.Store(tmp_path / "memory") as store:
        peer = devid.Fetcher(store).validate(checks, certificate, now())
        assert peer.public_key(now()) == devid.Key.load(devid_testca.read("peer-good.key")).public_key
        nobody = Directory()
        again = devid.Fetcher(store, fetch=nobody, schemes="http").examine(checks, certificate, now())
        assert again.is_valid and again.status_until is not None and nobody.asked == []
        checks.set_store(store)
        assert checks.examine(certificate, now()).is_valid


def test_revoked_peer_is_refused_and_one_that_is_open_closes(own_ca: TestCa, tmp_path: Path) -> None:
    certificate = peer_certificate(own_ca)
    with pytest.raises(devid.ValidationError) as refused:
        devid.Fetcher().validate(validator(own_ca, "revoked"), peer_certificate(own_ca, "revoked"), now())
    assert refused.value.code is devid.Code.REVOKED and refused.value.report is not None

    by_crl = validator(own_ca, prefer=devid.Prefer.CRL)
    fetcher = devid.Fetcher(devid.Store(tmp_path / "memory"), ocsp=False)
    peer = fetcher.validate(by_crl, certificate, now())
    own_ca.revoke(certificate.serial, 1)
    assert peer.public_key(now())
    by_crl.set_status_age(max_age_seconds=0)
    later = now() + 2
    assert fetcher.examine(by_crl, certificate, later).findings[0].code is devid.Code.REVOKED
    for use in (lambda: peer.public_key(later), lambda: peer.encrypt(b"x", later), lambda: peer.agree(later)):
        with pytest.raises(devid.ValidationError) as closed:
            use()
        assert closed.value.code is devid.Code.REVOKED


def test_missing_issuer_is_fetched_where_that_is_wanted(devid_testca: TestCa) -> None:
    checks, certificate = validator(devid_testca, intermediates=None), peer_certificate(devid_testca)
    found = devid.Fetcher().examine(checks, certificate, now()).findings[0]
    assert found.code is devid.Code.NO_PATH and found.is_fatal
    assert (found.requirement, found.expected) == ("RFC 5280 section 6.1 (V1)", "a path to a trust anchor")
    report = devid.Fetcher(issuers=True).examine(checks, certificate, now())
    assert report.is_valid and len(report.path) == 3, report.findings
    refused = devid.Fetcher(issuers=True, hosts=["ca.example"]).examine(checks, certificate, now())
    assert not refused.is_valid and any("not among the allowed" in f.text for f in refused.findings)


def test_what_a_peer_sends_is_taken_in_any_order_and_form(devid_testca: TestCa, tmp_path: Path) -> None:
    bundle = devid_testca.root + devid_testca.read("peer-good.pem") + devid_testca.read("issuing.pem")
    (tmp_path / "all.pem").write_bytes(bundle)
    command = ["openssl", "crl2pkcs7", "-nocrl", "-certfile", "all.pem", "-outform", "DER", "-out", "all.p7b"]
    subprocess.run(command, cwd=tmp_path, check=True)
    checks = validator(devid_testca, intermediates=None)
    for sent in (bundle, (tmp_path / "all.p7b").read_bytes(), devid.load_certificates(bundle)):
        assert devid.Fetcher().validate(checks, sent, now()).certificate == peer_certificate(devid_testca)
    assert devid.Fetcher().examine(checks, peer_certificate(devid_testca), now()).findings[0].code is devid.Code.NO_PATH
    with pytest.raises(devid.UsageError):
        checks.validate(bundle, None)
    with pytest.raises(devid.ValidationError):
        checks.validate(b"no certificates", now())


def test_program_can_fetch_itself(devid_testca: TestCa) -> None:
    checks, certificate = validator(devid_testca, prefer=devid.Prefer.CRL), peer_certificate(devid_testca)
    directory = Directory(devid_testca.crl())
    assert devid.Fetcher(fetch=directory, schemes="http", ocsp=False).examine(checks, certificate, now()).is_valid
    assert directory.asked == [devid_testca.crl_url]

    closed = Directory()
    report = devid.Fetcher(fetch=closed, schemes="http", ocsp=False).examine(checks, certificate, now())
    assert not report.is_valid and closed.asked and any("not fetched" in f.text for f in report.findings)

    def broken(url: str, request: Optional[bytes], max_len: int) -> bytes:
        raise KeyError("a mistake of the program's own")

    with pytest.raises(KeyError):
        devid.Fetcher(fetch=broken, schemes="http", ocsp=False).examine(checks, certificate, now())
    with pytest.raises(devid.UsageError):
        devid.Fetcher(fetch=directory, schemes="http,")


class Shelf(http.server.BaseHTTPRequestHandler):
    """Documents by path; what is not there is 404, and one path never answers."""

    documents: Dict[str, bytes] = {}

    def do_GET(self) -> None:
        if self.path.startswith("/drip"):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            with contextlib.suppress(OSError):
                for _ in range(100):
                    time.sleep(0.2)
                    self.wfile.write(b"0")
            return
        body = self.documents.get(self.path) or self.documents.get(self.path.partition("?")[0])
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def shelf() -> Iterator[str]:
    Shelf.documents = {}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shelf)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_certificates_are_found_in_a_certificate_store(devid_testca: TestCa, shelf: str) -> None:
    certificate = peer_certificate(devid_testca)
    Shelf.documents["/store?uri=good.peer.example"] = certificate.der
    fetcher = devid.Fetcher()
    assert fetcher.look_up(f"{shelf}/store", uri="good.peer.example") == [certificate]
    with pytest.raises(devid.TransportError) as nobody:
        fetcher.look_up(f"{shelf}/store", name="nobody")
    assert nobody.value.http_status == 404
    with pytest.raises(TypeError):
        fetcher.look_up(f"{shelf}/store")


@pytest.mark.parametrize("path, reason", [("/missing", "HTTP_STATUS"), ("/junk", "DER"), ("/drip", "TIMEOUT")])
def test_hostile_servers_cost_little_and_are_named(devid_testca: TestCa, shelf: str, path: str, reason: str) -> None:
    # Missing issuers are looked for at a server that misbehaves.
    Shelf.documents["/junk"] = b"\x30\x03\x02\x01\x01"
    checks = validator(devid_testca, intermediates=None)
    fetcher = devid.Fetcher(certificate_store=shelf + path)
    fetcher.set_limit("total_timeout_seconds", 1)
    before = time.monotonic()
    report = fetcher.examine(checks, peer_certificate(devid_testca), now())
    assert time.monotonic() - before < 10
    assert not report.is_valid and report.findings[0].code is devid.Code.NO_PATH
    assert devid.Code[reason] in [f.code for f in report.findings], report.findings


def test_limits_are_named_and_checked(devid_testca: TestCa) -> None:
    fetcher = devid.Fetcher()
    fetcher.set_limit("max_crl_bytes", 10)
    report = fetcher.examine(validator(devid_testca, prefer=devid.Prefer.CRL, crls=None), peer_certificate(devid_testca), now())
    assert report.is_valid, "OCSP is asked where the CRL is too big"
    assert devid.Code.TOO_LARGE in [f.code for f in report.findings], report.findings
    for name, value in (("max_fun", 1), ("max_requests", 0), ("total_timeout_seconds", -1)):
        with pytest.raises(devid.UsageError):
            fetcher.set_limit(name, value)


def test_older_crl_is_refused_after_a_restart(devid_testca: TestCa, tmp_path: Path) -> None:
    certificate, old = peer_certificate(devid_testca), devid_testca.crl()
    devid_testca.revoke("4242", 1)
    new = devid_testca.crl()
    assert old != new
    for crl, code in ((old, None), (new, None), (old, devid.Code.CRL_ROLLBACK)):
        with devid.Store(tmp_path / "memory") as store:
            checks = validator(devid_testca, crls=crl)
            checks.set_store(store)
            report = checks.examine(certificate, now())
        assert report.is_valid is (code is None), report.findings
        if code is not None:
            assert report.findings[0].code is code and report.findings[0].is_fatal


def test_big_crls_come_from_files_and_in_pieces(own_ca: TestCa, tmp_path: Path) -> None:
    for serial in range(100, 200):
        own_ca.revoke(f"{serial:04x}", 1)
    (tmp_path / "good.crl").write_bytes(own_ca.crl())
    good = peer_certificate(own_ca)
    own_ca.revoke(good.serial, 1)
    (tmp_path / "revoked.crl").write_bytes(own_ca.crl())
    index = tmp_path / "list.index"
    for name, is_good in (("good", True), ("revoked", False)):
        path = tmp_path / f"{name}.crl"
        for where in (None, index, index):
            checks = validator(own_ca)
            checks.add_crl_file(path, where)
            assert checks.examine(good, now()).is_valid is is_good
        assert index.stat().st_size > 100
        content = path.read_bytes()
        checks = validator(own_ca)
        checks.add_crl_chunks((content[i : i + 1000] for i in range(0, len(content), 1000)), good)
        assert checks.examine(good, now()).is_valid is is_good
    with pytest.raises(devid.StoreError):
        validator(own_ca).add_crl_file(tmp_path / "missing.crl")
    with pytest.raises(devid.InputError):
        validator(own_ca).add_crl_chunks([content[:-1]], good)


def test_responder_is_believed_by_the_devices_own_configuration(devid_testca: TestCa, tmp_path: Path) -> None:
    certificate = peer_certificate(devid_testca)
    request = devid.OcspRequest(certificate, devid.Certificate.parse(devid_testca.read("issuing.pem")), nonce=False)
    key, found = tmp_path / "local.key", tmp_path / "local.pem"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run([*make, "-keyout", str(key), "-out", str(found), "-subj", "/CN=Local responder"], check=True, capture_output=True)
    (tmp_path / "request.der").write_bytes(request.der)
    index = f"V\t400101000000Z\t\t{certificate.serial.upper()}\tunknown\t/CN=x\n"
    (tmp_path / "index.txt").write_text(index)
    answer = ["openssl", "ocsp", "-index", "index.txt", "-CA", str(devid_testca.folder / "issuing.pem")]
    answer += ["-rsigner", str(found), "-rkey", str(key), "-reqin", "request.der", "-respout", "response.der", "-ndays", "1"]
    subprocess.run(answer, cwd=tmp_path, check=True, capture_output=True)
    response = (tmp_path / "response.der").read_bytes()
    for trusts in (False, True):
        checks = validator(devid_testca)
        checks.add_ocsp(response)
        if trusts:
            checks.add_trusted_responder(devid.Certificate.parse(found.read_bytes()))
        assert checks.examine(certificate, int(time.time()) + 1).is_valid is trusts


def test_an_empty_list_of_hosts_is_no_choice() -> None:
    lists: List[Iterable[str]] = [[], (), iter(())]
    for hosts in lists:
        with pytest.raises(devid.UsageError) as refused:
            devid.Fetcher(hosts=hosts)
        assert "hosts" in str(refused.value)
