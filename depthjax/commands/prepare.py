"""`depthjax prepare`: a downloaded dataset, or drawn scenes, to the form that training reads."""

import functools
import os
import pathlib
import time
from typing import Annotated

import typer
from absl import flags
from ml_collections import config_flags
from rich import console, progress

from depthjax import main as main_lib
from depthjax.configuring import ConfigError
from depthjax.files.errors import InputError
from depthjax.prepare import catalogue, writing
from depthjax.prepare import scenes as scenes_lib

_SHOWN = 3  # skipped records named on the terminal; metadata.json has all
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
  source: Annotated[pathlib.Path, typer.Option(help='The downloaded dataset, laid out as above.')],
  target: Annotated[pathlib.Path, typer.Option(help='Folder of prepared datasets.')],
  long_side: Annotated[
    int | None, typer.Option(min=16, help='Reduce to this many pixels; default: keep all.')
  ] = None,
  most_bad: Annotated[
    float, typer.Option(min=0, max=1, help='Share of the records that may be bad.')
  ] = 0.05,
) -> None:
  """Turn a dataset that you downloaded into TARGET/NAME, for tfds:TARGET/NAME in a config."""
  name = context.info_name
  track = functools.partial(progress.track, description=f'preparing {name}', transient=True)
  done = writing.prepare(name, source, target, long_side=long_side, most_bad=most_bad, track=track)
  for line in done.skipped[:_SHOWN]:
    print(f'skipped: {line}')
  if len(done.skipped) > _SHOWN:
    print(f'skipped: {len(done.skipped) - _SHOWN} more, listed in {done.folder}/metadata.json')
  counts = ', '.join(f'{split} {count}' for split, count in done.counts.items())
  print(f'{done.folder}: {counts}, skipped {len(done.skipped)}')


for _name, _dataset in catalogue.DATASETS.items():
  _help = f'{_dataset.guide}\n\nBecomes TARGET/{_name}: tfds:TARGET/{_name} in a config.'
  _short = f'{_dataset.title}. Licence: {_dataset.licence}.'
  app.command(_name, help=_help, short_help=_short)(dataset)


@app.command(context_settings=_FLAGS)
def scenes(
  context: typer.Context,
  config: Annotated[str, typer.Option(help='As of train; overrides --config.X=Y follow.')],
  target: Annotated[pathlib.Path, typer.Option(help='Folder of the shards.')],
  count: Annotated[int, typer.Option(min=1, help='Scenes: examples 0 to COUNT - 1 of training.')],
  shards: Annotated[int, typer.Option(min=1, help='Files over which they are spread.')],
  workers: Annotated[
    int | None, typer.Option(min=0, help='Processes; 0 draws in this one; default: the cores.')
  ] = None,
  part: Annotated[str, typer.Option(help='I/N: only what machine I of N, from 0, does.')] = '0/1',
) -> None:
  """Draw the scenes of a config once, for --config.data.scene_source=TARGET in training."""
  values = flags.FlagValues()
  config_flags.DEFINE_config_file('config', None, flag_values=values, lock_config=True)
  rest = main_lib.parse(['depthjax prepare scenes', f'--config={config}', *context.args], values)
  if len(rest) > 1:
    raise ConfigError(f'unexpected argument {rest[1]!r}; overrides are --config.X=Y')
  fields, seed = values.config.data.to_dict(), values.config.seed
  options = {'seed': seed, 'count': count, 'count_shards': shards, 'part': _part(part)}
  try:
    planned = scenes_lib.plan(fields, target, **options)
  except InputError:
    raise
  except (TypeError, ValueError) as error:  # What the scenes or the sources refuse of a field.
    raise ConfigError(f'config: {error}') from error
  if workers is None:
    workers = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
  begin = time.monotonic()
  columns = (*progress.Progress.get_default_columns(), progress.MofNCompleteColumn())
  with progress.Progress(*columns, console=console.Console(stderr=True), transient=True) as bar:
    task = bar.add_task('drawing scenes', total=planned.scenes)
    advance = functools.partial(_advance, bar, task)
    done = scenes_lib.write(planned, fields, workers=workers, advance=advance)
  rate = done.scenes / max(time.monotonic() - begin, 1e-9)
  there = planned.own - len(planned.todo)
  kept = f', {there} shards were there already' if there else ''
  what = f'{done.scenes} scenes in {len(planned.todo)} shards'
  print(f'{target}: {what}, {_size(done.size)}, {rate:.3g} scenes/s{kept}')


def _advance(bar: progress.Progress, task: progress.TaskID, done: int) -> None:
  bar.update(task, completed=done)


def _part(text: str) -> tuple[int, int]:
  index, _, count = text.partition('/')
  if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
    raise ConfigError(f'--part is {text!r}; I/N with I from 0 to N - 1, such as 0/4')
  return int(index), int(count)


def _size(size: int) -> str:
  return f'{size / 1e9:.2f} GB' if size >= 1e9 else f'{size / 1e6:.1f} MB'
