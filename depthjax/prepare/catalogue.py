"""The datasets that can be prepared: name -> reader."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from depthjax.prepare import bokeh, cutouts, measured, middlebury, nyuv2, rendered, stereo_sets
from depthjax.prepare.entries import Found


class Dataset(NamedTuple):
  """A reader, and what the prepared form says of its licence."""

  read: Callable[[Path], Found]
  licence: str

  @property
  def title(self) -> str:
    """The work, as the reader's docstring begins with it."""
    return inspect.getdoc(self.read).partition('\n')[0].partition(': ')[0]

  @property
  def guide(self) -> str:
    """The reader's docstring but for what it raises, a line a paragraph."""
    told, _, _ = inspect.getdoc(self.read).partition('\n\nRaises:')
    return '\n\n'.join(' '.join(part.split()) for part in told.split('\n\n'))


DATASETS = {
  'ebb': Dataset(bokeh.ebb, 'CC BY-NC-SA 4.0, research only'),
  'blb': Dataset(bokeh.blb, 'none stated'),
  'nyuv2': Dataset(nyuv2.nyuv2, 'none stated, research only'),
  'middlebury': Dataset(middlebury.middlebury, 'none stated, research with citation'),
  'middlebury2014': Dataset(middlebury.middlebury2014, 'none stated, research with citation'),
  'middlebury2021': Dataset(middlebury.middlebury2021, 'none stated, research with citation'),
  'multiscopic': Dataset(stereo_sets.multiscopic, 'none known, research'),
  'hypersim': Dataset(rendered.hypersim, 'CC BY-SA 3.0'),
  'hypersim_published': Dataset(rendered.hypersim_published, 'CC BY-SA 3.0'),
  'diml': Dataset(measured.diml, 'research only'),
  'diode': Dataset(measured.diode, 'MIT'),
  'tartanair': Dataset(rendered.tartanair, 'CC BY 4.0'),
  'irs': Dataset(stereo_sets.irs, 'none known, research'),
  'unrealstereo4k': Dataset(stereo_sets.unrealstereo4k, 'none known, research'),
  'mvssynth': Dataset(rendered.mvssynth, 'research only'),
  'holopix50k': Dataset(stereo_sets.holopix50k, 'of its authors, research only'),
  'hrwsi': Dataset(stereo_sets.hrwsi, 'research only'),
  'aim500': Dataset(cutouts.matting, 'MIT by agreement, research'),
  'p3m10k': Dataset(cutouts.matting, 'MIT by agreement, research'),
  'duts': Dataset(cutouts.duts, 'none stated, research only'),
  'msra10k': Dataset(cutouts.msra10k, 'research only'),
}
