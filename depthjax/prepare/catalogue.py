"""The datasets that can be prepared; importing this module imports no reader."""

import ast
import functools
import pathlib
import pkgutil
from collections.abc import Callable
from typing import Any, NamedTuple


class Dataset(NamedTuple):
  """The reader as MODULE:FUNCTION of this package, and the licence."""

  reader: str
  licence: str

  @property
  def read(self) -> Callable[[pathlib.Path], Any]:
    """The reader: folder of the dataset -> entries.Found; raises InputError."""
    return pkgutil.resolve_name(f'{__package__}.{self.reader}')

  @property
  def title(self) -> str:
    """Name and authors, from the first line of the reader's docstring."""
    return _docstring(self.reader).partition('\n')[0].partition(': ')[0]

  @property
  def guide(self) -> str:
    """The reader's docstring, one line per paragraph."""
    paragraphs = _docstring(self.reader).split('\n\n')
    return '\n\n'.join(' '.join(paragraph.split()) for paragraph in paragraphs)


def _docstring(reader: str) -> str:
  """Read from the source code, since importing a reader takes a second."""
  module, _, name = reader.partition(':')
  return next(ast.get_docstring(x) for x in _parsed(module).body if getattr(x, 'name', '') == name)


@functools.cache
def _parsed(module: str) -> ast.Module:
  return ast.parse(pathlib.Path(__file__).with_name(f'{module}.py').read_text(encoding='utf-8'))


DATASETS = {
  'ebb': Dataset('bokeh:ebb', 'CC BY-NC-SA 4.0, research only'),
  'blb': Dataset('bokeh:blb', 'none stated'),
  'nyuv2': Dataset('nyuv2:nyuv2', 'none stated, research only'),
  'middlebury': Dataset('middlebury:middlebury', 'none stated, research with citation'),
  'middlebury2014': Dataset('middlebury:middlebury2014', 'none stated, research with citation'),
  'middlebury2021': Dataset('middlebury:middlebury2021', 'none stated, research with citation'),
  'multiscopic': Dataset('stereo_sets:multiscopic', 'unknown, research'),
  'hypersim': Dataset('rendered:hypersim', 'CC BY-SA 3.0'),
  'hypersim_published': Dataset('rendered:hypersim_published', 'CC BY-SA 3.0'),
  'diml': Dataset('measured:diml', 'research only'),
  'diode': Dataset('measured:diode', 'MIT'),
  'tartanair': Dataset('rendered:tartanair', 'CC BY 4.0'),
  'irs': Dataset('stereo_sets:irs', 'unknown, research'),
  'unrealstereo4k': Dataset('stereo_sets:unrealstereo4k', 'unknown, research'),
  'mvssynth': Dataset('rendered:mvssynth', 'research only'),
  'holopix50k': Dataset('stereo_sets:holopix50k', 'of its authors, research only'),
  'hrwsi': Dataset('stereo_sets:hrwsi', 'research only'),
  'aim500': Dataset('cutouts:matting', 'MIT by agreement, research'),
  'p3m10k': Dataset('cutouts:matting', 'MIT by agreement, research'),
  'duts': Dataset('cutouts:duts', 'none stated, research only'),
  'msra10k': Dataset('cutouts:msra10k', 'research only'),
  'booster': Dataset('tom:booster', 'own terms, research (unverified)'),
  'cleargrasp': Dataset('tom:cleargrasp', 'own terms, research (unverified)'),
  'trans10k': Dataset('tom:masked', 'own terms, research (unverified)'),
  'msd': Dataset('tom:masked', 'own terms, research (unverified)'),
}
