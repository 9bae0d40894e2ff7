"""`depthjax evaluate`: scores of a run's checkpoint, or of weights, on a split."""

import json
import math
from typing import Any

import jax
from absl import flags
from rich import box
from rich.console import Console
from rich.table import Table

from depthjax.configuring import ConfigError
from depthjax.files import atomic, weights
from depthjax.train import evaluate as evaluate_lib
from depthjax.train import record, resume
from depthjax.train import workdir as workdir_lib
from depthjax.train.errors import NotFinite
from depthjax.train.evaluate import Scores


def run(values: flags.FlagValues, terms: resume.Terms) -> None:
  """Prints and writes the scores.

  Raises:
    NotFinite: the network returned NaN for a record; the scores are written.
    ConfigError: flags that contradict each other, or a config that is not that of the training.
    files.errors.InputError: as evaluate.restore and evaluate.from_weights.
  """
  config, path = values.config, values.weights and weights.file_of(values.weights)
  if values.json:
    atomic.check_output(values.json, ('.json',))
  if path and (values.workdir or values.raw or values.step is not None):
    raise ConfigError('--weights is given; omit --workdir, --step and --raw, which need a run')
  workdir = None if path else workdir_lib.resolve(values.workdir)
  changed = evaluate_lib.differences(config, path or workdir / record.NAME, terms)
  if changed and not terms.change:
    raise ConfigError(
      f'{path or workdir} was trained with another config: {resume.describe(changed)}; omit '
      '--config, or add --change to evaluate with this config'
    )
  if path:
    experiment, state = evaluate_lib.from_weights(config, path)
    step = weights.load_weights(path)[1].get('step')
  else:
    experiment, state = evaluate_lib.restore(config, workdir, values.step)
    step = int(state.step)
  scores = {'averaged': evaluate_lib.evaluate(experiment, state, values.split)}
  if values.raw:
    state = evaluate_lib.with_parameters(state)
    scores['parameters'] = evaluate_lib.evaluate(experiment, state, values.split)
  if jax.process_index() == 0:
    _print(scores, f'{path or workdir}, step {step}, {values.split}', changed)
    if values.json:
      _write(values.json, scores, {'split': values.split, 'step': step})
  if any(x.nans for x in scores.values()):
    raise NotFinite('; '.join(x.faults for x in scores.values() if x.nans))


def _print(scores: dict[str, Scores], title: str, changed: dict[str, Any]) -> None:
  first = scores['averaged']
  table = Table('metric', box=box.SIMPLE)
  for name in scores:
    table.add_column(name, justify='right')
  for metric in first.means:
    table.add_row(metric, *(f'{x.means[metric]:.4f}' for x in scores.values()))
  print(f'{title}: {first.examples} examples')
  if changed:
    print(f'other config than in training: {resume.describe(changed)}')
  Console(soft_wrap=True).print(table)
  if first.faults:
    print(first.faults)


def _write(path: str, scores: dict[str, Scores], about: dict[str, Any]) -> None:
  """Writes JSON, NaN as null."""
  first = scores['averaged']
  table = {**about, 'examples': first.examples, 'unreadable': first.unreadable}
  for name, x in scores.items():
    means = {metric: None if math.isnan(mean) else mean for metric, mean in x.means.items()}
    table[name] = {'means': means, 'nans': x.nans}
  atomic.write_bytes(path, (json.dumps(table, indent=2) + '\n').encode(), ('.json',))
