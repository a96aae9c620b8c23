"""Draw pictures of numbers as inline SVG. Colours come from the page's style sheet, by class. No TensorFlow here.

`Markup.format` escapes what it is given, so that a text is a text whatever is in it.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

WIDTH, HEIGHT = 440, 250  # of a picture, in its own units: readable at a phone's width too
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 26, 40
_counter = itertools.count(1)


class Series(NamedTuple):
    """Points that belong together, with a name and the CSS class of their colour, e.g. "c1"."""

    name: str
    colour: str
    points: Sequence[tuple[float, float]]
    has_dots: bool = False


class Axis(NamedTuple):
    """What an axis shows, from where to where."""

    label: str
    low: float
    high: float


class _Frame(NamedTuple):
    x: Axis
    y: Axis

    def left(self, value: float) -> float:
        return _LEFT + (value - self.x.low) / (self.x.high - self.x.low) * (WIDTH - _LEFT - _RIGHT)

    def top(self, value: float) -> float:
        return (
            HEIGHT - _BOTTOM - (value - self.y.low) / (self.y.high - self.y.low) * (HEIGHT - _TOP - _BOTTOM)
        )


def axis_of(label: str, values: Sequence[float], low: float | None = None, high: float | None = None) -> Axis:
    """Return an axis that holds some values, all of them finite, and has a length.

    >>> axis_of("loss", [1.0, 3.0], low=0.0)
    Axis(label='loss', low=0.0, high=3.0)
    """
    lowest = min(values, default=0.0) if low is None else low
    highest = max(values, default=1.0) if high is None else high
    return Axis(label, lowest, highest if highest > lowest else lowest + 1.0)


def line_chart(
    title: str,
    description: str,
    series: Sequence[Series],
    x: Axis,
    y: Axis,
    marks: Sequence[tuple[float, str]] = (),
) -> Markup:
    """Draw lines.

    Args:
      title: of the picture, which a screen reader says.
      description: what there is to be seen, for whoever cannot see it.
      series: the lines; points that are not finite are left out.
      x: the horizontal axis.
      y: the vertical one.
      marks: places on x with a word, each drawn as a vertical line.
    """
    frame = _Frame(x, y)
    parts = [_axes(frame)]
    for number, (place, word) in enumerate(marks):
        if x.low <= place <= x.high:
            anchor = "end" if frame.left(place) > WIDTH * 0.7 else "start"
            shift = -4 if anchor == "end" else 4
            parts.append(
                Markup('<line class="mark" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>').format(
                    frame.left(place), _TOP, HEIGHT - _BOTTOM
                )
                + Markup('<text x="{:.1f}" y="{}" text-anchor="{}">{}</text>').format(
                    frame.left(place) + shift, HEIGHT - _BOTTOM - 6 - 15 * number, anchor, word
                )
            )
    for of in series:
        points = [
            (frame.left(a), frame.top(b)) for a, b in of.points if math.isfinite(a) and math.isfinite(b)
        ]
        if len(points) > 1:
            path = " ".join(f"{left:.1f},{top:.1f}" for left, top in points)
            parts.append(Markup('<polyline class="line {}" points="{}"/>').format(of.colour, path))
        if of.has_dots or len(points) == 1:
            parts += [
                Markup('<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="3.5"/>').format(of.colour, *point)
                for point in points
            ]
    return _picture(title, description, [*parts, _legend(series)])


def mirrored_histogram(
    title: str, description: str, edges: Sequence[float], up: Series, down: Series, x_label: str
) -> Markup:
    """Draw two histograms over the same bins, one upwards and one downwards; `points` are (bin, count)."""
    most = max((count for of in (up, down) for _, count in of.points), default=1.0) or 1.0
    frame = _Frame(Axis(x_label, edges[0], edges[-1]), Axis("questions", -most, most))
    parts = [_axes(frame, absolute=True)]
    for of, sign in ((up, 1), (down, -1)):
        for index, count in of.points:
            left, right = frame.left(edges[int(index)]), frame.left(edges[int(index) + 1])
            top, bottom = sorted((frame.top(sign * count), frame.top(0)))
            parts.append(
                Markup('<rect class="bar {}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                    of.colour, left + 0.5, top, max(right - left - 1, 1), bottom - top
                )
            )
    return _picture(title, description, [*parts, _legend((up, down))])


def score_bar(value: float, low: float, high: float) -> Markup:
    """Draw a score in percent with its interval, small enough for a table's cell, which has the numbers beside it."""
    return Markup(
        '<svg class="score" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="track" width="100" height="10"/><rect class="fill" width="{:.2f}" height="10"/>'
        '<rect class="interval" x="{:.2f}" y="4" width="{:.2f}" height="2"/></svg>'
    ).format(value, low, max(high - low, 0.5))


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round numbers between two bounds.

    >>> ticks(0, 100), ticks(-0.3, 0.32, 4)
    ([0, 20, 40, 60, 80, 100], [-0.2, 0.0, 0.2])
    """
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(step * factor for factor in (1, 2, 5, 10, 20) if (high - low) / (step * factor) <= most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [round(number * step, 10) for number in range(first, last + 1)]
    return [int(value) for value in values] if step >= 1 else values


def _axes(frame: _Frame, *, absolute: bool = False) -> Markup:
    parts = []
    for value in ticks(frame.y.low, frame.y.high, 5):
        parts.append(
            Markup(
                '<line class="grid" x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/>'
                '<text x="{3}" y="{4:.1f}" text-anchor="end">{5}</text>'
            ).format(
                _LEFT,
                WIDTH - _RIGHT,
                frame.top(value),
                _LEFT - 5,
                frame.top(value) + 4,
                _number(abs(value) if absolute else value),
            )
        )
    for value in ticks(frame.x.low, frame.x.high):
        parts.append(
            Markup(
                '<line class="grid" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>'
                '<text x="{0:.1f}" y="{3}" text-anchor="middle">{4}</text>'
            ).format(
                frame.left(value),
                HEIGHT - _BOTTOM,
                HEIGHT - _BOTTOM + 4,
                HEIGHT - _BOTTOM + 16,
                _number(value),
            )
        )
    parts.append(
        Markup('<text class="label" x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
            (_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 6, frame.x.label
        )
    )
    parts.append(Markup('<text class="label" x="4" y="13">{}</text>').format(frame.y.label))
    return Markup("").join(parts)


def _number(value: float) -> str:
    return f"{value:,.10g}"


def _legend(series: Sequence[Series]) -> Markup:
    """Name the lines at the upper right, the last one rightmost."""
    parts = []
    right = float(WIDTH - _RIGHT)
    for of in reversed(series):
        if not of.name:
            continue
        width = 6.2 * len(of.name)
        parts.append(
            Markup(
                '<rect class="bar {}" x="{:.0f}" y="5" width="10" height="10"/><text x="{:.0f}" y="14">{}</text>'
            ).format(of.colour, right - width - 14, right - width, of.name)
        )
        right -= width + 26
    return Markup("").join(parts)


def _picture(title: str, description: str, parts: Sequence[Markup]) -> Markup:
    number = next(_counter)
    return Markup(
        '<svg class="picture" viewBox="0 0 {width} {height}" role="img" aria-labelledby="t{number} d{number}">'
        '<title id="t{number}">{title}</title><desc id="d{number}">{description}</desc>{inside}</svg>'
    ).format(
        width=WIDTH,
        height=HEIGHT,
        number=number,
        title=title,
        description=description,
        inside=Markup("").join(parts),
    )
