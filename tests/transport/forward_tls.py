"""An HTTPS end that is not ours: Python's ssl (OpenSSL) in front of a plain HTTP server.

    forward_tls.py PORT-BEHIND CERTIFICATES.pem KEY.pem [CLIENT-ANCHORS.pem|-] [1.2|1.3]

Prints its port, then for each connection the version, the name asked for and the client's subject; ends with standard input.
"""

import socket
import ssl
import sys
import threading


def main() -> None:
    behind, certificates, key = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    anchors = sys.argv[4] if len(sys.argv) > 4 else "-"
    version = sys.argv[5] if len(sys.argv) > 5 else ""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates, key)
    if anchors != "-":
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(anchors)
    if version:
        only = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
        context.minimum_version = context.maximum_version = only
    names: dict = {}
    context.sni_callback = lambda connection, name, _: names.update({id(connection): name})
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=accept, args=(listener, context, names, behind), daemon=True).start()
    sys.stdin.read()
    # What is still being said belongs to the output.
    for thread in CONNECTIONS:
        thread.join(timeout=5)


CONNECTIONS: list = []


def accept(listener: socket.socket, context: ssl.SSLContext, names: dict, behind: int) -> None:
    while True:
        plain, _ = listener.accept()
        thread = threading.Thread(target=serve, args=(plain, context, names, behind), daemon=True)
        CONNECTIONS.append(thread)
        thread.start()


def serve(plain: socket.socket, context: ssl.SSLContext, names: dict, behind: int) -> None:
    try:
        with context.wrap_socket(plain, server_side=True) as tls:
            peer = tls.getpeercert() or {}
            subject = "/".join(value for part in peer.get("subject", ()) for _, value in part) or "-"
            print(tls.version(), names.get(id(tls)) or "-", subject, flush=True)
            with socket.create_connection(("127.0.0.1", behind)) as inner:
                threading.Thread(target=pump, args=(inner, tls), daemon=True).start()
                pump(tls, inner)
    except OSError as error:
        print("refused", type(error).__name__, error, flush=True)


def pump(source: socket.socket, sink: socket.socket) -> None:
    while True:
        part = source.recv(65536)
        if not part:
            return
        sink.sendall(part)


main()
