# SPDX-License-Identifier: Apache-2.0
"""The language of ../README.md, in the library's terms and back."""
import json
import sys
import threading

import holdfast

KINDS = {
    holdfast.Busy: "busy",
    holdfast.NotHeld: "not_held",
    holdfast.LeaseLost: "not_held",
    holdfast.InvalidRequest: "invalid",
    holdfast.ServerAway: "away",
    holdfast.TimedOut: "timeout",
    holdfast.LimitReached: "limit",
    holdfast.Deadlock: "deadlock",
    holdfast.Cancelled: "cancelled",
    holdfast.Refused: "refused",
}
SECONDS = {"ttl", "wait", "grace", "lock_delay", "max_hold", "heartbeat"}

_output = threading.Lock()


def say(line):
    with _output:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def ready():
    say(
        {
            "event": "ready",
            "library": f"python {holdfast.__version__}",
            "features": ["election", "health", "closing"],
        }
    )


def lines():
    for line in sys.stdin:
        yield json.loads(line)


def keys(request):
    return request.get("keys") or [request["key"]]


def options(request, *names):
    """The named ones that the request gives, as keyword arguments."""
    found = {name: request[name + "_ms"] / 1000 for name in SECONDS if name + "_ms" in request}
    found.update({name: request[name] for name in ("label", "limit") if name in request})
    if "value" in request:
        found["value"] = request["value"].encode()
    if "mode" in request:
        found["shared"] = request["mode"] == "shared"
    if "token" in request:
        found["token"] = bytes.fromhex(request["token"])
    return {name: found[name] for name in names if name in found}


HOLD = ("ttl", "wait", "grace", "lock_delay", "max_hold", "heartbeat", "label", "limit", "value", "shared")
DETACHED = ("ttl", "wait", "lock_delay", "label", "limit", "value", "shared", "token")
RESUME = ("ttl", "grace")


def events(request):
    """The callbacks of the lease that the request names."""
    name = request["lease"]
    return {
        "on_queued": lambda position, ahead: say(
            {"event": "queued", "id": request["id"], "position": position, "holder": holder(ahead)}
        ),
        "on_at_risk": lambda left: say({"event": "at_risk", "lease": name, "valid_for_ms": int(left * 1000)}),
        "on_lost": lambda loss: say({"event": "lost", "lease": name, "reason": loss.value}),
    }


def holder(told):
    return told and {
        "label": told.label,
        "fence": told.fence,
        "mode": "shared" if told.shared else "exclusive",
        "holders": told.holders,
        "foreign": told.foreign,
        "closed": told.closed,
        "value": told.value.decode(),
    }


def valid_for(lease):
    return {"valid_for_ms": int(lease.valid_for * 1000)}


def lease(told):
    fields = {**valid_for(told), "token": told.token.hex()}
    if told.is_valid:
        fields.update({"fence": told.fence, "fences": dict(told.fences)})
    return fields


def state(watch, told):
    if told.is_known:
        return {"event": "state", "watch": watch, "holder": holder(told.holder)}
    return {"event": "state", "watch": watch, "unknown": True}


def answer(request, extra=None):
    say({"id": request["id"], "result": "ok", **(extra or {})})


def refuse(request, error):
    line = {"id": request["id"], "result": KINDS[type(error)], "error": str(error)}
    if isinstance(error, holdfast.Busy):
        line["holder"] = holder(error.holder)
    say(line)
