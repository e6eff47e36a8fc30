"""Keeps an identity up inside an event loop: asyncio_keep.py URL REFERENCE SECRET ANCHORS.pem MEMORY NAME"""

import asyncio
import sys
import time
from pathlib import Path

import devid


async def run(renewal: devid.Renewal, store: devid.Store) -> devid.RenewalReport:
    """One step in a thread; cancelling the task ends it, and what is under way stays in device memory."""
    with devid.Cancel() as cancel:
        step = asyncio.create_task(asyncio.to_thread(renewal.run, store, int(time.time()), cancel=cancel))
        try:
            return await asyncio.shield(step)
        except asyncio.CancelledError:
            cancel.trigger()
            await step
            raise


async def keep(url: str, reference: str, secret: str, anchors: str, memory: str, name: str) -> None:
    config = devid.Config(url, cmp_anchors=Path(anchors), enrolment_anchors=Path(anchors))
    config.set_secret(reference, secret)
    renewal, store = devid.Renewal(config, name, subject=f"CN={name}"), devid.Store(memory)
    while True:
        report = await run(renewal, store)
        print(report.done.name if report.done else report.error, flush=True)
        if report.plan.step is devid.Step.NOTHING:
            return  # a daemon sleeps for report.wait_seconds here, and goes on
        await asyncio.sleep(max(1, report.wait_seconds))


asyncio.run(keep(*sys.argv[1:]))
