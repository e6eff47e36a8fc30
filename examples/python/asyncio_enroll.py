"""Enrols inside an event loop, without a thread: asyncio_enroll.py URL REFERENCE SECRET ROOTS.pem SUBJECT..."""

import asyncio
import sys
import time

import devid

url, reference, secret, roots, *subjects = sys.argv[1:]


async def carry(operation: devid.Operation) -> None:
    """The message under way to the server, and its answer back. TLS is in the call: the connection is a plain one."""
    with operation.http_call() as call:
        reader, writer = await asyncio.open_connection(call.host, call.port)
        try:
            done = False
            while not done:
                writer.write(call.take_output())
                await writer.drain()
                came = await reader.read(65536)
                if came:
                    done = call.received(came)
                else:
                    call.closed_by_server()
                    done = True
        finally:
            # A TLS server is told why.
            writer.write(call.take_output())
            writer.close()
        operation.feed_http_call(call)


async def enroll(client: devid.Client, subject: str) -> None:
    operation = client.enroll(devid.Key.generate("P-256"), devid.Subject(subject))
    while True:
        action = operation.step(int(time.time()))
        if action == devid.Action.SEND:
            await asyncio.wait_for(carry(operation), 60)
        elif action == devid.Action.WAIT:
            await asyncio.sleep(operation.wait_seconds)
        elif action == devid.Action.ACCEPT:
            operation.accept()
        elif action == devid.Action.DONE and operation.issued is not None:
            print(operation.issued.certificate.subject)
            return


async def main() -> None:
    config = devid.Config(url, anchors=open(roots, "rb").read())
    config.set_secret(reference.encode(), secret.encode())
    client = devid.Client(config)
    await asyncio.gather(*(enroll(client, subject) for subject in subjects))


try:
    asyncio.run(main())
except (devid.Error, OSError, asyncio.TimeoutError) as error:
    sys.exit(f"no certificate: {error}")
