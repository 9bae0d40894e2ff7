"""The datasets that can be prepared: name -> reader."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from depthjax.prepare import bokeh, cutouts, middlebury, nyuv2
from depthjax.prepare.entries import Found


class Dataset(NamedTuple):
  """A reader, and what the prepared form says of its licence."""

  read: Callable[[Path], Found]
  licence: str


DATASETS = {
  'ebb': Dataset(bokeh.ebb, 'CC BY-NC-SA 4.0, research only'),
  'blb': Dataset(bokeh.blb, 'none stated'),
  'nyuv2': Dataset(nyuv2.nyuv2, 'none stated, research only'),
  'middlebury': Dataset(middlebury.middlebury, 'none stated, research with citation'),
  'aim500': Dataset(cutouts.matting, 'MIT by agreement, research'),
  'p3m10k': Dataset(cutouts.matting, 'MIT by agreement, research'),
  'duts': Dataset(cutouts.duts, 'none stated, research only'),
  'msra10k': Dataset(cutouts.msra10k, 'research only'),
}
