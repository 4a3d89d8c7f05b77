# SPDX-License-Identifier: Apache-2.0
"""The curves of a run as SVG, where matplotlib is installed."""
try:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot
except ImportError:
    pyplot = None

DIRECT, HOLDFAST, THIRD = "#b8554a", "#2f6f8f", "#7a7a7a"


def _axes(title, x, y, log_y=True):
    figure, axes = pyplot.subplots(figsize=(6.4, 4))
    axes.set(title=title, xlabel=x, ylabel=y, xscale="log")
    if log_y:
        axes.set_yscale("log")
    axes.grid(True, which="major", linewidth=0.4)
    return figure, axes


def _latency(found):
    figure, axes = _axes("A pair on 50 connections, by the clock", "pairs per second wanted", "microseconds")
    points = found["scaling"]["latency"]
    rates = [point["rate"] for point in points]
    for side, color in (("direct", DIRECT), ("holdfast", HOLDFAST)):
        for part, style in (("p50", "-"), ("p99", ":")):
            durations = [point[side][f"pair_{part}_us"] for point in points]
            axes.plot(rates, durations, style, marker="o", color=color, label=f"{side} {part}")
    axes.legend()
    return figure


def _hot(found):
    figure, axes = _axes("One lock", "waiters", "hand-offs per second")
    points = found["scaling"]["waiters"]
    counts = [point["waiters"] for point in points]
    lines = (
        ("one", "one holdfastd", HOLDFAST), ("four", "four holdfastd", THIRD),
        ("polling", "polling every 100 ms", DIRECT),
    )
    for name, label, color in lines:
        axes.plot(counts, [p[name]["hand_offs"] for p in points], marker="o", color=color, label=label)
    axes.legend()
    return figure


def _redis_cpu(found):
    figure, axes = _axes("Redis CPU per pair", "connections", "microseconds", log_y=False)
    points = found["scaling"]["connections"]
    counts = [point["connections"] for point in points]
    for side, color in (("direct", DIRECT), ("holdfast", HOLDFAST)):
        axes.plot(counts, [p[side]["redis_cpu_us"] for p in points], marker="o", color=color, label=side)
    axes.set_ylim(bottom=0)
    axes.legend()
    return figure


def _memory(found):
    figure, axes = _axes("Memory of held leases", "leases", "MiB")
    points = found["scaling"]["leases"]
    counts = [point["leases"] for point in points]
    for name, label, color in (("server_bytes", "holdfastd", HOLDFAST), ("redis_bytes", "Redis", DIRECT)):
        used = [max(p[name], 0) * p["leases"] / 2**20 for p in points]
        axes.plot(counts, used, marker="o", color=color, label=label)
    axes.legend()
    return figure


PLOTS = (
    ("Latency against load", "latency.svg", _latency),
    ("Hand-offs against waiters", "hand-offs.svg", _hot),
    ("Redis CPU against connections", "redis-cpu.svg", _redis_cpu),
    ("Memory against leases", "memory.svg", _memory),
)


def draw(found, directory):
    """[(title, file name)] of what was drawn."""
    if pyplot is None:
        found["left_out"]["plots"] = "python3-matplotlib is not installed"
        return []
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "holdfast"})
    for _, name, make in PLOTS:
        figure = make(found)
        figure.savefig(directory / name, metadata={"Date": None}, bbox_inches="tight")
        pyplot.close(figure)
    return [(title, name) for title, name, _ in PLOTS]
