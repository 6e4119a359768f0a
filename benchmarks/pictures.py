"""The pictures of RESULTS.md, from what the benchmarks have saved in results/.

    python benchmarks/pictures.py

SVG that follows the reader's light or dark colours. The same figures give the same bytes, so that a change shows.
"""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HERE = Path(__file__).parent
FOUND = HERE / "results"
PICTURES = HERE / "pictures"

INK, PAPER, FAINT, OURS, OTHERS, BAD = "#24292f", "#fffffe", "#d0d7de", "#0969da", "#8c959f", "#cf222e"
DARK = {INK: "#e6edf3", PAPER: "#0d1117", FAINT: "#3d444d", OURS: "#4493f8", OTHERS: "#768390", BAD: "#ff7b72"}
"""What each colour is for readers of dark pages."""

mpl.rcParams.update(
    {
        "svg.hashsalt": "neuroon-async",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"],
        "font.size": 11,
        "text.color": INK,
        "axes.edgecolor": FAINT,
        "axes.labelcolor": INK,
        "axes.facecolor": PAPER,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.facecolor": PAPER,
        "xtick.color": INK,
        "ytick.color": INK,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
    }
)


def window() -> Figure:
    """How many requests the server had let through in its window, over time, and each one that it refused."""
    found = json.loads((FOUND / "window.json").read_text())
    requests, per, windows = found["requests"], found["per"], found["windows"]
    figure, panels = plt.subplots(len(found["logs"]), 1, figsize=(9, 6.4), sharex=True)
    for axes, (name, log) in zip(panels, found["logs"].items(), strict=True):
        times, counts = _within_windows(log, per)
        times.append(windows * per)
        counts.append(counts[-1])
        refused = [at for at, status in log if status == 429]
        colour = BAD if refused else OURS
        for number in range(windows + 1):
            axes.axvline(number * per, color=FAINT, linewidth=1, zorder=0)
        axes.axhline(requests, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        axes.step(times, counts, where="post", color=OURS, linewidth=2)
        axes.plot(refused, [requests * 1.17] * len(refused), "|", color=BAD, markersize=9, markeredgewidth=1.2)
        told = f"{len(refused)} times 429" if refused else "no 429"
        axes.set_title(f"{name}: {told}", loc="left", color=colour, fontsize=12, pad=8)
        axes.set_ylim(0, requests * 1.3)
        axes.set_yticks([0, requests // 2, requests])
    panels[0].annotate(
        f"the limit: {requests}",
        (windows * per, requests),
        xytext=(-2, -4),
        textcoords="offset points",
        ha="right",
        va="top",
    )
    figure.supylabel("requests let through in the server's window", fontsize=11)
    panels[-1].set_xlabel(f"seconds; a window is {per:g} s. Red marks: requests that the server refused")
    panels[-1].set_xlim(0, windows * per)
    figure.tight_layout()
    return figure


def _within_windows(log: list[list[float]], per: float) -> tuple[list[float], list[int]]:
    """The count of requests let through, which starts again with each window of the server."""
    times, counts = [0.0], [0]
    ends = per
    for at, status in log:
        while at >= ends:
            times.append(ends)
            counts.append(0)
            ends += per
        if status != 429:
            times.append(at)
            counts.append(counts[-1] + 1)
    return times, counts


def peers() -> Figure:
    """Speed beside the others at 100,000 products, and memory at a million where that was measured."""
    million = (FOUND / "million.json").exists()
    speed = _figures("peers.json", "rate")
    memory = _figures("million.json" if million else "peers.json", "memory")
    names = sorted(speed, key=lambda name: speed[name])
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.8), sharey=True)
    _bars(left, names, speed, "{:,.0f}")
    left.set_title("products a second", loc="left", fontsize=12)
    _bars(right, names, memory, "{:,.0f} MB")
    count = "a million" if million else "100,000"
    right.set_title(f"memory added by {count} products", loc="left", fontsize=12)
    figure.tight_layout()
    return figure


def _figures(file: str, name: str) -> dict[str, float]:
    runs: dict[str, list[dict[str, float]]] = json.loads((FOUND / file).read_text())["0.0"]
    return {
        client: statistics.median(run[name] for run in results)
        for client, results in runs.items()
        if all(name in run for run in results)
    }


def _bars(axes: Axes, names: list[str], figures: dict[str, float], label: str) -> None:
    colours = [OURS if name.startswith("this SDK") else OTHERS for name in names]
    bars = axes.barh(names, [figures.get(name, 0.0) for name in names], color=colours, height=0.66)
    told = [label.format(figures[name]) if name in figures else "not measured" for name in names]
    axes.bar_label(bars, told, fontsize=10, color=INK, padding=4)
    axes.xaxis.set_visible(False)
    axes.tick_params(length=0)
    axes.spines["bottom"].set_visible(False)
    axes.margins(x=0.22)


def save(figure: Figure, name: str) -> None:
    """As SVG whose colours are variables: a light set, and a dark one for those who read so."""
    path = PICTURES / f"{name}.svg"
    nothing: dict[str, Any] = {"Date": None, "Creator": None}
    figure.savefig(path, metadata=nothing)
    svg = path.read_text()
    for number, colour in enumerate(DARK):
        svg = svg.replace(colour, f"var(--c{number})")
    light = "".join(f"--c{number}:{colour};" for number, colour in enumerate(DARK))
    dark = "".join(f"--c{number}:{colour};" for number, colour in enumerate(DARK.values()))
    style = f"<style>svg{{{light}}}@media(prefers-color-scheme:dark){{svg{{{dark}}}}}</style>"
    # Text without a colour of its own is black to matplotlib, and would stay so on dark pages.
    svg = re.sub(r"(<svg [^>]*>)", rf"\1{style}", svg, count=1)
    path.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n")
    plt.close(figure)
    print(f"benchmarks/pictures/{name}.svg")


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    if (FOUND / "window.json").exists():
        save(window(), "window")
    if (FOUND / "peers.json").exists():
        save(peers(), "peers")


if __name__ == "__main__":
    main()
