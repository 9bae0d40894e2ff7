"""Line plots as PNG bytes, for reports."""

import io
from collections.abc import Sequence

from depthjax.files.errors import optional


def curve(
  series: dict[str, tuple[Sequence[float], Sequence[float]]], *, x_label: str, y_label: str
) -> bytes:
  """Plots lines (x, y) by name on a logarithmic y axis, as a PNG 900 pixels wide.

  Raises InputError: matplotlib is not installed.
  """
  with optional('plot', 'matplotlib'):
    from matplotlib import ticker
    from matplotlib.figure import Figure
  figure = Figure(figsize=(6, 3), dpi=150, layout='constrained')
  axes = figure.subplots()
  for name, (x, y) in series.items():
    axes.plot(x, y, label=name, linewidth=1.5)
  axes.set(xlabel=x_label, ylabel=y_label, yscale='log')
  axes.yaxis.set_major_formatter(ticker.StrMethodFormatter('{x:g}'))
  axes.yaxis.set_minor_formatter(ticker.StrMethodFormatter('{x:g}'))
  axes.grid(alpha=0.3)
  axes.spines[['top', 'right']].set_visible(False)
  axes.legend(frameon=False)
  buffer = io.BytesIO()
  figure.savefig(buffer, format='png')
  return buffer.getvalue()
