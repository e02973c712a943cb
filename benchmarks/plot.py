"""Pictures in SVG: one row for each case, one dot for each library or eviction, on an axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from .figures import duration
from .results import Results
from .subjects import SUBJECTS

WIDTH = 860
LEFT = 250
RIGHT = 30
ROW = 30
LEGEND_COLUMNS = 4
LEGEND_ROW = 22
MARGIN = 16
EVICTIONS = {"LRU": "#999999", "clock": "#d55e00", "s3-fifo": "#0072b2"}

STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #222 }
.small { font-size: 11px; fill: #666 }
.grid { stroke: #ddd }
.row { stroke: #bbb; stroke-dasharray: 1 3 }
.paper { fill: #fff }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd } .small { fill: #999 } .grid { stroke: #333 } .row { stroke: #555 } .paper { fill: #0d1117 }
}"""


@dataclass(frozen=True)
class Dot:
    """One measured figure: its row, the name under which its colour stands in the legend, and its value."""

    row: str
    name: str
    value: float


@dataclass(frozen=True)
class Axis:
    """A horizontal axis: `place` maps a value to a share of its length; `written` is the text of a value."""

    caption: str
    ticks: Sequence[float]
    place: Callable[[float], float]
    written: Callable[[float], str]

    def x(self, value: float) -> float:
        """Return where a value stands."""
        return LEFT + self.place(value) * (WIDTH - LEFT - RIGHT)


def logarithmic(values: Sequence[float]) -> Axis:
    """Return the shortest axis of seconds, from one power of ten to another, that holds all values."""
    lowest = math.floor(math.log10(min(values)))
    powers = max(lowest + 1, math.ceil(math.log10(max(values)))) - lowest
    return Axis(
        "time of one operation, logarithmic: left is faster",
        [10.0 ** (lowest + power) for power in range(powers + 1)],
        lambda seconds: (math.log10(seconds) - lowest) / powers,
        _round_duration,
    )


def percentages() -> Axis:
    """Return the axis from 0 to 100 per cent."""
    ticks = [share / 5 for share in range(6)]
    return Axis(
        "requests that find their key: right is better", ticks, lambda share: share, lambda x: f"{100 * x:.0f} %"
    )


def latencies(results: Results) -> str | None:
    """Return the picture of the operations; None if none was measured."""
    outcomes = results.latency.outcomes if results.latency is not None else []
    dots = [
        Dot(each.case.title.replace("`", ""), each.subject.name, each.median)
        for each in outcomes
        if not each.case.crowd and each.error is None
    ]
    if not dots:
        return None
    colours = {each.name: each.colour for each in SUBJECTS}
    return _picture("Operation latency", dots, colours, logarithmic([dot.value for dot in dots]))


def hit_ratios(results: Results) -> str | None:
    """Return the picture of the hit ratios of evictions; None if they were not measured."""
    dots = [
        Dot(f"{each['trace'].partition(':')[0]}, size {single.answer['size']:,}", name, ratio)
        for single in results.singles.get("hit_ratios", [])
        if single.error is None
        for each in single.answer["traces"]
        for name, ratio in each["ratios"].items()
    ]
    return _picture("Hit ratios of evictions", dots, EVICTIONS, percentages()) if dots else None


def _picture(title: str, dots: Sequence[Dot], colours: dict[str, str], axis: Axis) -> str:
    names = [name for name in colours if any(dot.name == name for dot in dots)]
    rows = list(dict.fromkeys(dot.row for dot in dots))
    top = MARGIN + LEGEND_ROW * math.ceil(len(names) / LEGEND_COLUMNS) + MARGIN
    bottom = top + ROW * len(rows)
    heights = {row: top + ROW * (number + 0.5) for number, row in enumerate(rows)}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 40}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        '<rect class="paper" width="100%" height="100%"/>',
        *_legend(names, colours),
        *_axis(axis, top, bottom),
        *_labels(heights),
        *[_dot(dot, axis, heights[dot.row], colours[dot.name]) for dot in reversed(dots)],
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _legend(names: Sequence[str], colours: dict[str, str]) -> Iterator[str]:
    step = (WIDTH - 2 * MARGIN) / LEGEND_COLUMNS
    for number, name in enumerate(names):
        row, column = divmod(number, LEGEND_COLUMNS)
        x, y = MARGIN + column * step, MARGIN + (row + 0.5) * LEGEND_ROW
        yield f'<circle cx="{x + 6:g}" cy="{y:g}" r="5" fill="{colours[name]}"/>'
        yield f'<text x="{x + 18:g}" y="{y + 4:g}">{escape(name)}</text>'


def _axis(axis: Axis, top: float, bottom: float) -> Iterator[str]:
    for tick in axis.ticks:
        x = axis.x(tick)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top:g}" y2="{bottom:g}"/>'
        yield f'<text class="small" x="{x:.1f}" y="{bottom + 16:g}" text-anchor="middle">{axis.written(tick)}</text>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield f'<text class="small" x="{middle:g}" y="{bottom + 32:g}" text-anchor="middle">{axis.caption}</text>'


def _round_duration(seconds: float) -> str:
    number, unit = duration(seconds * 1.000001).split()
    return f"{float(number):g} {unit}"


def _labels(rows: dict[str, float]) -> Iterator[str]:
    for title, y in rows.items():
        yield f'<line class="row" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:g}" y2="{y:g}"/>'
        yield f'<text x="{LEFT - 12}" y="{y + 4:g}" text-anchor="end">{escape(title)}</text>'


def _dot(dot: Dot, axis: Axis, y: float, colour: str) -> str:
    hint = escape(f"{dot.name}: {axis.written(dot.value)}")
    place = f'cx="{axis.x(dot.value):.1f}" cy="{y:g}"'
    return f'<circle {place} r="6" fill="{colour}" fill-opacity="0.9"><title>{hint}</title></circle>'
