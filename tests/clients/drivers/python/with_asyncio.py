# SPDX-License-Identifier: Apache-2.0
"""Makes holdfast.aio do what the lines on stdin say: each request is a task."""
import asyncio
import sys
import threading

import holdfast
import words


class Driver:
    def __init__(self):
        self.client = None
        self.leases = {}
        self.watches = {}
        self.elections = {}
        self.requests = {}

    async def do(self, request):
        try:
            extra = await getattr(self, "do_" + request["do"])(request)
        except holdfast.HoldfastError as error:
            words.refuse(request, error)
        except asyncio.CancelledError:
            words.refuse(request, holdfast.Cancelled(""))
        else:
            words.answer(request, extra)

    async def do_open(self, request):
        options = {"ca_file": request.get("ca_file")}
        if "timeout_ms" in request:
            options["timeout"] = request["timeout_ms"] / 1000
        self.client = holdfast.aio.Client(request.get("server"), **options)

    async def do_hold(self, request):
        options = words.options(request, *words.HOLD)
        lock = self.client.lock(*words.keys(request), **options, **words.events(request))
        return await self.keep(request, lock)

    async def do_resume(self, request):
        events = words.events(request)
        del events["on_queued"]
        token = bytes.fromhex(request["token"])
        options = words.options(request, *words.RESUME)
        return await self.keep(request, self.client.resume(request["key"], token, **options, **events))

    async def keep(self, request, lock):
        self.leases[request["lease"]] = lease = await lock.acquire()
        return words.lease(lease)

    async def do_acquire_detached(self, request):
        options = words.options(request, *words.DETACHED)
        lease = await self.client.acquire_detached(request["key"], **options)
        self.leases[request["lease"]] = lease
        return words.lease(lease)

    async def do_cancel(self, request):
        self.requests[request["request"]].cancel()

    async def do_release(self, request):
        await self.leases[request["lease"]].release()

    async def do_renew(self, request):
        lease = self.leases[request["lease"]]
        await lease.renew(**words.options(request, "ttl"))
        return words.valid_for(lease)

    async def do_release_token(self, request):
        await self.client.release(request["key"], bytes.fromhex(request["token"]))

    async def do_renew_token(self, request):
        token = bytes.fromhex(request["token"])
        lease = await self.client.renew(request["key"], token, **words.options(request, "ttl"))
        return words.valid_for(lease)

    async def do_lease(self, request):
        return words.lease(self.leases[request["lease"]])

    async def do_inspect(self, request):
        return {"holder": words.holder(await self.client.inspect(request["key"]))}

    async def do_watch(self, request):
        watch = self.client.watch(request["key"])
        task = asyncio.create_task(self.tell(request["watch"], watch))
        self.watches[request["watch"]] = (watch, task)

    async def tell(self, name, watch):
        async with watch as states:
            async for state in states:
                words.say(words.state(name, state))

    async def do_unwatch(self, request):
        watch, task = self.watches.pop(request["watch"])
        watch.stop()
        await task

    async def do_elect(self, request):
        name = request["election"]

        async def lead(lease):
            words.say({"event": "elected", "election": name, "fence": lease.fence})
            await asyncio.Event().wait()

        election = self.client.elect(
            request["key"],
            lead,
            lambda: words.say({"event": "deposed", "election": name}),
            **words.options(request, "value"),
        )
        self.elections[name] = await election.__aenter__()

    async def do_resign(self, request):
        await self.elections[request["election"]].resign()

    async def do_health(self, request):
        await self.client.check_health()

    async def do_close(self, request):
        await self.client.close()


def read(loop, inbox):
    for request in words.lines():
        loop.call_soon_threadsafe(inbox.put_nowait, request)
    loop.call_soon_threadsafe(inbox.put_nowait, None)


async def main():
    driver = Driver()
    inbox = asyncio.Queue()
    reader = threading.Thread(target=read, args=[asyncio.get_running_loop(), inbox], daemon=True)
    reader.start()
    words.ready()
    while (request := await inbox.get()) is not None:
        driver.requests[request["id"]] = asyncio.create_task(driver.do(request))
    if driver.client is not None:
        await driver.client.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
