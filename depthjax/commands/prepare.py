"""`depthjax prepare`: a downloaded dataset, or drawn scenes, to the form that training reads."""

import pathlib
from typing import Annotated

import typer
from absl import flags
from ml_collections import config_flags
from typer import Option

from depthjax import main as main_lib
from depthjax.commands import runner
from depthjax.configuring import ConfigError
from depthjax.prepare import catalogue

_FLAGS = {'allow_extra_args': True, 'ignore_unknown_options': True}


class _Names(typer.core.TyperGroup):
  """Tells the names that there are."""

  def resolve_command(self, ctx, args):
    if args and args[0] not in self.commands:
      known = ', '.join(map(repr, self.commands))
      raise typer.BadParameter(f'{args[0]!r} is none of {known}.')
    return super().resolve_command(ctx, args)


app = typer.Typer(
  cls=_Names,
  no_args_is_help=True,
  help='Turn a dataset that you downloaded, or drawn scenes, into what training reads.',
)


def dataset(
  context: typer.Context,
  source: Annotated[pathlib.Path, Option(help='The downloaded dataset, laid out as above.')],
  target: Annotated[pathlib.Path, Option(help='Folder of prepared datasets.')],
  long_side: Annotated[
    int | None, Option(min=16, help='Reduce to this many pixels; default: keep all.')
  ] = None,
  most_bad: Annotated[
    float, Option(min=0, max=1, help='Fraction of the records that may be bad.')
  ] = 0.05,
) -> None:
  """Turn a dataset that you downloaded into TARGET/NAME, for tfds:TARGET/NAME in a config."""
  prepare = runner.load('commands.work.prepare:dataset')
  prepare(context.info_name, source, target, long_side, most_bad)


for _name, _dataset in catalogue.DATASETS.items():
  _help = f'{_dataset.guide}\n\nBecomes TARGET/{_name}: tfds:TARGET/{_name} in a config.'
  _short = f'{_dataset.title}. Licence: {_dataset.licence}.'
  app.command(_name, help=_help, short_help=_short)(dataset)


@app.command(context_settings=_FLAGS)
def scenes(
  context: typer.Context,
  config: Annotated[str, Option(help='As of train; overrides --config.X=Y follow.')],
  target: Annotated[pathlib.Path, Option(help='Folder of the shards.')],
  count: Annotated[int, Option(min=1, help='Scenes: examples 0 to COUNT - 1 of training.')],
  shards: Annotated[int, Option(min=1, help='Files over which they are spread.')],
  workers: Annotated[
    int | None, Option(min=0, help='Processes; 0 draws in this one; default: the cores.')
  ] = None,
  part: Annotated[str, Option(help='I/N: only what machine I of N, from 0, does.')] = '0/1',
) -> None:
  """Draw the scenes of a config once, for --config.data.scene_source=TARGET in training."""
  values = flags.FlagValues()
  config_flags.DEFINE_config_file('config', None, flag_values=values, lock_config=True)
  main_lib.parse(['depthjax prepare scenes', f'--config={config}', *context.args], values)
  options = {'count': count, 'count_shards': shards, 'part': _part(part)}
  draw = runner.load('commands.work.prepare:scenes')
  draw(values.config, target, workers, **options)


def _part(text: str) -> tuple[int, int]:
  index, _, count = text.partition('/')
  if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
    raise ConfigError(f'--part is {text!r}; I/N with I from 0 to N - 1, such as 0/4')
  return int(index), int(count)
