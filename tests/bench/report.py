# SPDX-License-Identifier: Apache-2.0
"""A run as text, as Markdown and as JSON."""
import json
import pathlib
import re

import rows
from scaling import fits

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs/performance.md"


def number(value):
    if value is None:
        return "-"
    if value >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


VERDICTS = {True: "yes", False: "NO", None: "not measured"}


def table(head, lines):
    text = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    text += ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]
    return "\n".join(text)


def _rows(found):
    return table(
        ("what", "figure", "wanted", "holds", ""),
        [(r.what, number(r.value), r.bound, VERDICTS[r.holds], r.note) for r in rows.judge(found)],
    )


def _pairs(found):
    lines = []
    for point in found["pairs"]:
        for side, label in (("direct", "direct"), ("holdfast", "Holdfast"), ("grpc", "the same over gRPC")):
            figures = point[side]
            lines.append((
                point["connections"], label, number(figures["rate"]), number(figures["acquire_p50_us"]),
                number(figures["pair_p50_us"]), number(figures["pair_p99_us"]),
                number(figures["redis_cpu_us"]), number(figures.get("server_cpu_us")),
                number(figures["client_cpu_us"]), number(figures["commands"]),
            ))
    head = ("connections", "side", "pairs/s", "acquire p50 us", "pair p50 us", "pair p99 us",
            "Redis CPU us", "server CPU us", "load CPU us", "commands")
    return table(head, lines)


def _competitors(found):
    by_waiters = {point["waiters"]: point for point in found["scaling"]["waiters"]}
    fifty = {point["connections"]: point for point in found["pairs"]}[50]
    entries = {
        "Holdfast": (fifty["holdfast"], by_waiters[100]["one"]),
        "scripts on Redis, from C": (fifty["direct"], by_waiters[100]["polling"]),
    }
    for name, mixes in found["competitors"].items():
        entries[name] = (mixes["pairs"], mixes["hot"])
    lines = []
    for name, (pairs, hot) in entries.items():
        lines.append((
            name, number(pairs["rate"]), number(pairs["acquire_p50_us"]), number(pairs["redis_cpu_us"]),
            number(hot["hand_offs"]), number(hot["acquire_p99_us"] / 1000),
            number(hot.get("commands_per_hand_off")), number(hot["redis_cpu_us"]),
        ))
    head = ("", "50 own locks: pairs/s", "acquire p50 us", "store CPU us per pair",
            "100 waiters: hand-offs/s", "wait p99 ms", "commands per hand-off", "store CPU us per grant")
    return table(head, lines)


def _leases(found):
    lines = [
        (number(p["leases"]), number(p["taken_per_s"]), f"{p['server_share']:.3f}",
         f"{p['redis_share']:.3f}", number(p["server_bytes"]), number(p["redis_bytes"]), p["refused"], p["lost"])
        for p in found["scaling"]["leases"]
    ]
    head = ("leases held", "taken/s", "holdfastd cores", "Redis cores", "holdfastd bytes each",
            "Redis bytes each", "refused for now", "lost")
    return table(head, lines)


def _connections(found):
    lines = [
        (number(p["connections"]), number(p["direct"]["rate"]), number(p["holdfast"]["rate"]),
         number(p["direct"]["redis_cpu_us"]), number(p["holdfast"]["redis_cpu_us"]),
         number(p["holdfast"]["server_cpu_us"]), number(p["holdfast"]["refused"]),
         number(p["idle_bytes"]))
        for p in found["scaling"]["connections"]
    ]
    head = ("connections", "direct pairs/s", "Holdfast pairs/s", "direct: Redis CPU us",
            "Holdfast: Redis CPU us", "holdfastd CPU us", "refused for now",
            "bytes of an idle one")
    return table(head, lines)


def _waiters(found):
    lines = [
        (p["waiters"], number(p["one"]["hand_offs"]), number(p["one"]["commands_per_hand_off"]),
         number(p["four"]["hand_offs"]), number(p["four"]["commands_per_hand_off"]),
         number(p["polling"]["hand_offs"]), number(p["polling"]["commands_per_hand_off"]))
        for p in found["scaling"]["waiters"]
    ]
    head = ("waiters", "one server: hand-offs/s", "commands each", "four servers: hand-offs/s",
            "commands each", "polling every 100 ms: hand-offs/s", "commands each")
    return table(head, lines)


def _fits(found):
    lines = [(what, number(found_at), about) for what, (found_at, about) in found["fits"].items()]
    return table(("cost", "fitted exponent", "wanted, about"), lines)


def _machine(found):
    of, settings = found["machine"], found["settings"]
    return (
        f"{of['processor']}, {of['cores_used']} of {of['cores']} cores for everything (load, servers and "
        f"Redis), {of['memory_gib']} GiB; {of['system']}, Linux {of['kernel']}, Redis {of['redis']}. "
        f"Medians of {settings['rounds']} rounds of {settings['seconds']} s, sides in turn. "
        f"Load average before the run: {of['load_before']:.1f}."
    )


def _left_out(found):
    return "\n".join(f"- left out: {name}: {why}" for name, why in found["left_out"].items())


SECTIONS = (
    ("What is wanted, and what is", _rows),
    ("Own locks, against the same scripts driven directly", _pairs),
    ("Beside other ways to lock", _competitors),
    ("Leases", _leases),
    ("Connections", _connections),
    ("Waiters of one lock", _waiters),
    ("Growth", _fits),
)


def markdown(found, plots, heading):
    parts = [_machine(found), _left_out(found)]
    for title, write in SECTIONS:
        parts += [f"{heading} {title}", write(found)]
    parts += [f"![{title}]({path})" for title, path in plots]
    return "\n\n".join(part for part in parts if part) + "\n"


def write(found, directory, plots):
    found["fits"] = fits(found["scaling"])
    found["rows"] = [row._asdict() for row in rows.judge(found)]
    (directory / "results.json").write_text(json.dumps(found, indent=1) + "\n")
    (directory / "results.md").write_text("# A run of tests/bench/run\n\n" + markdown(found, plots, "##"))


def write_document(found, plots):
    """Puts the figures where docs/performance.md has a place for them."""
    text = DOCUMENT.read_text()
    figures = f"{BEGIN}\n{markdown(found, plots, '###')}{END}"
    DOCUMENT.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: figures, text, flags=re.DOTALL))


def show(found):
    print(f"\n{_machine(found)}\n")
    for row in rows.judge(found):
        print(f"{row.what:70} {number(row.value):>9} {row.bound:>8}  {VERDICTS[row.holds]}"
              + (f"  ({row.note})" if row.note else ""))
    print()
    for what, (found_at, about) in found["fits"].items():
        print(f"{what:70} ~ n^{number(found_at)}  (wanted: about {about})")
    if found["left_out"]:
        print("\n" + _left_out(found))
