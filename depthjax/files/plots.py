"""Line plots as PNG bytes, for reports."""

import io
import math
import textwrap
from collections.abc import Sequence

from depthjax.files.errors import optional

_ROW, _COLUMNS = 0.18, 90  # Height of a row of the legend in inches, its length in letters.


def curve(
  series: Sequence[tuple[str, Sequence[tuple[Sequence[float], Sequence[float]]]]],
  *,
  x_label: str,
  y_label: str,
  size: tuple[float, float] = (6, 3),
  logarithmic: bool = True,
  legend: bool = True,
) -> bytes:
  """Plots the lines (x, y) of each name in one colour, as a PNG 900 pixels wide.

  `size` is width and height in inches, in which letters have 10 points; a legend of several names
  is added below. The y axis is logarithmic only if all values are positive.

  Raises InputError: matplotlib is not installed.
  """
  with optional('plot', 'matplotlib'):
    from matplotlib import colormaps, ticker
    from matplotlib.figure import Figure
  labels = [textwrap.fill(name, _COLUMNS) for name, _ in series]
  legend = legend and len(series) > 1
  rows = sum(label.count('\n') + 1 for label in labels) if legend else 0
  figure = Figure((size[0], size[1] + rows * _ROW), dpi=900 / size[0], layout='constrained')
  axes = figure.subplots()
  colours = colormaps['tab10' if len(series) <= 10 else 'tab20'].colors
  for i, (label, (_, lines)) in enumerate(zip(labels, series, strict=True)):
    style = {'linewidth': 1.5 if len(lines) == 1 else 0.8, 'color': colours[i % len(colours)]}
    for j, (x, y) in enumerate(lines):
      marker = 'o' if len(x) == 1 else ''  # One point is no line.
      axes.plot(x, y, label=label if j == 0 else None, marker=marker, **style)
  axes.set(xlabel=x_label, ylabel=y_label)
  values = [y for _, lines in series for _, ys in lines for y in ys if math.isfinite(y)]
  if logarithmic and values and min(values) > 0:
    axes.set_yscale('log')
    axes.yaxis.set_major_formatter(ticker.StrMethodFormatter('{x:g}'))
    axes.yaxis.set_minor_formatter(ticker.StrMethodFormatter('{x:g}'))
    if max(values) > 5 * min(values):  # Otherwise labels would overlap.
      axes.yaxis.set_minor_locator(ticker.LogLocator(subs=(2, 3, 5)))
  axes.grid(alpha=0.3)
  axes.spines[['top', 'right']].set_visible(False)
  if legend:
    figure.legend(loc='outside lower left', fontsize='small', frameon=False)
  buffer = io.BytesIO()
  figure.savefig(buffer, format='png')
  return buffer.getvalue()
