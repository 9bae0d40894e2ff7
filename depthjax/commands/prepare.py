"""`depthjax prepare`: converts a downloaded dataset, or draws scenes, for training."""

import pathlib
from typing import Annotated

import typer
from absl import flags
from typer import Option

from depthjax import main as main_lib
from depthjax.commands import runner
from depthjax.configuring import ConfigError
from depthjax.prepare import catalogue

_FLAGS = {'allow_extra_args': True, 'ignore_unknown_options': True}


class _Group(typer.core.TyperGroup):
  """Lists the known names in the message about an unknown one."""

  def resolve_command(self, ctx, args):
    if args and args[0] not in self.commands:
      known = ', '.join(map(repr, self.commands))
      raise typer.BadParameter(f'{args[0]!r} is not a dataset; it must be one of {known}')
    return super().resolve_command(ctx, args)


_HELP = 'Convert a downloaded dataset for training, or draw scenes in advance.'
app = typer.Typer(cls=_Group, no_args_is_help=True, help=_HELP)


def dataset(
  context: typer.Context,
  source: Annotated[pathlib.Path, Option(help='Folder of the downloaded dataset, see above.')],
  target: Annotated[pathlib.Path, Option(help='Folder of prepared datasets.')],
  long_side: Annotated[
    int | None, Option(min=16, help='Reduce pictures to this long side, px; default: keep.')
  ] = None,
  max_bad: Annotated[
    float, Option(min=0, max=1, help='Fraction of records that may be unreadable.')
  ] = 0.05,
) -> None:
  """Convert a downloaded dataset to TARGET/NAME, tfds:TARGET/NAME in a config."""
  prepare = runner.load('commands.work.prepare:dataset')
  prepare(context.info_name, source, target, long_side, max_bad)


for _name, _dataset in catalogue.DATASETS.items():
  _help = f'{_dataset.guide}\n\nWrites TARGET/{_name}: tfds:TARGET/{_name} in a config.'
  _short = f'{_dataset.title}. Licence: {_dataset.licence}.'
  app.command(_name, help=_help, short_help=_short)(dataset)


@app.command(context_settings=_FLAGS)
def scenes(
  context: typer.Context,
  config: Annotated[str, Option(help='As in train; also overrides --config.FIELD=VALUE.')],
  target: Annotated[pathlib.Path, Option(help='Folder of the shards.')],
  count: Annotated[int, Option(min=1, help='Number of scenes.')],
  shards: Annotated[int, Option(min=1, help='Number of files.')],
  workers: Annotated[
    int | None, Option(min=0, help='Worker processes; default: one per CPU core; 0: none.')
  ] = None,
  part: Annotated[str, Option(help='I/N: the part of machine I of N, from 0.')] = '0/1',
) -> None:
  """Draw the scenes of a config in advance, for --config.data.scene_source=TARGET in train."""
  values = flags.FlagValues()
  main_lib.parse(['depthjax prepare scenes', f'--config={config}', *context.args], values)
  draw = runner.load('commands.work.prepare:scenes')
  draw(values.config, target, workers, count=count, count_shards=shards, part=_part(part))


def _part(text: str) -> tuple[int, int]:
  index, _, count = text.partition('/')
  if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
    raise ConfigError(f'--part is {text!r}; it must be I/N with I from 0 to N - 1, such as 0/4')
  return int(index), int(count)
