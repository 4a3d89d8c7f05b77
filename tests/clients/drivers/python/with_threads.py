# SPDX-License-Identifier: Apache-2.0
"""Makes holdfast.Client do what the lines on stdin say: each request has a thread."""
import sys
import threading

import holdfast
import words


class Driver:
    def __init__(self):
        self.client = None
        self.leases = {}
        self.locks = {}  # by the id of the request that acquires
        self.watches = {}
        self.elections = {}

    def do(self, request):
        try:
            extra = getattr(self, "do_" + request["do"])(request)
        except holdfast.HoldfastError as error:
            words.refuse(request, error)
        else:
            words.answer(request, extra)

    def do_open(self, request):
        options = {"ca_file": request.get("ca_file")}
        if "timeout_ms" in request:
            options["timeout"] = request["timeout_ms"] / 1000
        self.client = holdfast.Client(request.get("server"), **options)

    def do_hold(self, request):
        options = words.options(request, *words.HOLD)
        lock = self.client.lock(*words.keys(request), **options, **words.events(request))
        return self.keep(request, lock)

    def do_resume(self, request):
        events = words.events(request)
        del events["on_queued"]
        token = bytes.fromhex(request["token"])
        options = words.options(request, *words.RESUME)
        return self.keep(request, self.client.resume(request["key"], token, **options, **events))

    def keep(self, request, lock):
        self.locks[request["id"]] = lock
        self.leases[request["lease"]] = lease = lock.acquire()
        return words.lease(lease)

    def do_acquire_detached(self, request):
        options = words.options(request, *words.DETACHED)
        self.leases[request["lease"]] = lease = self.client.acquire_detached(request["key"], **options)
        return words.lease(lease)

    def do_cancel(self, request):
        self.locks[request["request"]].cancel()

    def do_release(self, request):
        self.leases[request["lease"]].release()

    def do_renew(self, request):
        lease = self.leases[request["lease"]]
        lease.renew(**words.options(request, "ttl"))
        return words.valid_for(lease)

    def do_release_token(self, request):
        self.client.release(request["key"], bytes.fromhex(request["token"]))

    def do_renew_token(self, request):
        token = bytes.fromhex(request["token"])
        lease = self.client.renew(request["key"], token, **words.options(request, "ttl"))
        return words.valid_for(lease)

    def do_lease(self, request):
        return words.lease(self.leases[request["lease"]])

    def do_inspect(self, request):
        return {"holder": words.holder(self.client.inspect(request["key"]))}

    def do_watch(self, request):
        watch = self.client.watch(request["key"]).__enter__()
        teller = threading.Thread(target=self.tell, args=[request["watch"], watch], daemon=True)
        self.watches[request["watch"]] = (watch, teller)
        teller.start()

    def tell(self, name, watch):
        for state in watch:
            words.say(words.state(name, state))

    def do_unwatch(self, request):
        watch, teller = self.watches.pop(request["watch"])
        watch.stop()
        teller.join()

    def do_elect(self, request):
        name = request["election"]
        election = self.client.elect(
            request["key"],
            lambda lease: words.say({"event": "elected", "election": name, "fence": lease.fence}),
            lambda: words.say({"event": "deposed", "election": name}),
            **words.options(request, "value"),
        )
        self.elections[name] = election.__enter__()

    def do_resign(self, request):
        self.elections[request["election"]].resign()

    def do_health(self, request):
        self.client.check_health()

    def do_close(self, request):
        self.client.close()


def main():
    driver = Driver()
    words.ready()
    for request in words.lines():
        threading.Thread(target=driver.do, args=[request], daemon=True).start()
    if driver.client is not None:
        driver.client.close()


if __name__ == "__main__":
    sys.exit(main())
