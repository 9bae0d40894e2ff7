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
  small: bool = False,
) -> bytes:
  """Plots the lines (x, y) of each name in one colour, as a PNG 900 pixels wide.

  The y axis is logarithmic if all values are positive; a legend of several names is added below.
  With `small`, letters are twice as large, the axis is linear, and there is no legend.

  Raises InputError: matplotlib is not installed.
  """
  with optional('plot', 'matplotlib'):
    from matplotlib import ticker
    from matplotlib.figure import Figure
  labels = [textwrap.fill(name, _COLUMNS) for name, _ in series]
  rows = sum(label.count('\n') + 1 for label in labels) if len(series) > 1 and not small else 0
  width, height = (3, 2) if small else (6, 3 + rows * _ROW)
  figure = Figure((width, height), dpi=900 / width, layout='constrained')
  axes = figure.subplots()
  for i, (label, (_, lines)) in enumerate(zip(labels, series, strict=True)):
    style = {'linewidth': 1.5 if len(lines) == 1 else 0.8, 'color': f'C{i}'}
    for j, (x, y) in enumerate(lines):
      form = 'o' if len(x) == 1 else ('-', '--', ':')[i // 10 % 3]  # One point is no line.
      axes.plot(x, y, form, label=label if j == 0 else None, **style)
  axes.set(xlabel=x_label, ylabel=y_label)
  values = [y for _, lines in series for _, ys in lines for y in ys if math.isfinite(y)]
  if not small and values and min(values) > 0:
    axes.set_yscale('log')
    axes.yaxis.set_major_formatter(ticker.StrMethodFormatter('{x:g}'))
    axes.yaxis.set_minor_formatter(ticker.StrMethodFormatter('{x:g}'))
    if max(values) > 5 * min(values):  # Otherwise labels would overlap.
      axes.yaxis.set_minor_locator(ticker.LogLocator(subs=(2, 3, 5)))
  axes.grid(alpha=0.3)
  axes.spines[['top', 'right']].set_visible(False)
  if rows:
    figure.legend(loc='outside lower left', fontsize='small', frameon=False)
  buffer = io.BytesIO()
  figure.savefig(buffer, format='png')
  return buffer.getvalue()
