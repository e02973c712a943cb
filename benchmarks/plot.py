"""The latencies as an SVG picture: one row for each case, one dot for each library, on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from .figures import duration
from .latency import Case, Outcome
from .results import Results
from .subjects import SUBJECTS, Subject

WIDTH = 860
LEFT = 250
RIGHT = 30
ROW = 30
LEGEND_COLUMNS = 4
LEGEND_ROW = 22
MARGIN = 16

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
class Scale:
    """A logarithmic axis of seconds, from one power of ten to another."""

    lowest: int
    highest: int

    @classmethod
    def around(cls, values: list[float]) -> Scale:
        """Return the smallest axis that holds all values."""
        lowest = math.floor(math.log10(min(values)))
        return cls(lowest, max(lowest + 1, math.ceil(math.log10(max(values)))))

    def x(self, seconds: float) -> float:
        """Return where a value stands."""
        share = (math.log10(seconds) - self.lowest) / (self.highest - self.lowest)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def ticks(self) -> list[float]:
        """Return the powers of ten."""
        return [10.0**power for power in range(self.lowest, self.highest + 1)]


def picture(results: Results) -> str | None:
    """Return the picture as SVG; None if there is nothing to show."""
    if results.latency is None:
        return None
    dots = [each for each in results.latency.outcomes if not each.case.crowd and each.error is None]
    if not dots:
        return None
    cases = list(dict.fromkeys(each.case for each in dots))
    subjects = [each for each in SUBJECTS if any(dot.subject == each for dot in dots)]
    top = MARGIN + LEGEND_ROW * math.ceil(len(subjects) / LEGEND_COLUMNS) + MARGIN
    bottom = top + ROW * len(cases)
    scale = Scale.around([dot.median for dot in dots])
    rows = {case: top + ROW * (number + 0.5) for number, case in enumerate(cases)}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 40}" role="img">',
        "<title>Operation latency</title>",
        f"<style>{STYLE}</style>",
        '<rect class="paper" width="100%" height="100%"/>',
        *_legend(subjects),
        *_axis(scale, top, bottom),
        *_labels(rows),
        *[_dot(dot, scale, rows[dot.case]) for dot in reversed(dots)],
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _legend(subjects: list[Subject]) -> Iterator[str]:
    step = (WIDTH - 2 * MARGIN) / LEGEND_COLUMNS
    for number, subject in enumerate(subjects):
        row, column = divmod(number, LEGEND_COLUMNS)
        x, y = MARGIN + column * step, MARGIN + (row + 0.5) * LEGEND_ROW
        yield f'<circle cx="{x + 6:g}" cy="{y:g}" r="5" fill="{subject.colour}"/>'
        yield f'<text x="{x + 18:g}" y="{y + 4:g}">{escape(subject.name)}</text>'


def _axis(scale: Scale, top: float, bottom: float) -> Iterator[str]:
    for tick in scale.ticks():
        x = scale.x(tick)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top:g}" y2="{bottom:g}"/>'
        yield f'<text class="small" x="{x:.1f}" y="{bottom + 16:g}" text-anchor="middle">{_round_duration(tick)}</text>'
    caption = "time of one operation, logarithmic: left is faster"
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield f'<text class="small" x="{middle:g}" y="{bottom + 32:g}" text-anchor="middle">{caption}</text>'


def _round_duration(seconds: float) -> str:
    number, unit = duration(seconds * 1.000001).split()
    return f"{float(number):g} {unit}"


def _labels(rows: dict[Case, float]) -> Iterator[str]:
    for case, y in rows.items():
        yield f'<line class="row" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:g}" y2="{y:g}"/>'
        title = escape(case.title.replace("`", ""))
        yield f'<text x="{LEFT - 12}" y="{y + 4:g}" text-anchor="end">{title}</text>'


def _dot(dot: Outcome, scale: Scale, y: float) -> str:
    hint = escape(f"{dot.subject.name}: {duration(dot.median)}")
    place = f'cx="{scale.x(dot.median):.1f}" cy="{y:g}"'
    return f'<circle {place} r="6" fill="{dot.subject.colour}" fill-opacity="0.9"><title>{hint}</title></circle>'
