"""`depthjax evaluate`: scores of a run's checkpoint, or of weights, on a split."""

from typing import Any

import jax
from absl import flags

from depthjax.commands.work import tables
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
    NotFinite: the network returned NaN or infinity for a record; the scores are written.
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
      '--config and --config.NAME, or add --change to evaluate with this config'
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
    _show(values, scores, step, changed)
  if faults := [x.faults for x in scores.values() if x.nans]:
    raise NotFinite('; '.join(faults))


def _show(
  values: flags.FlagValues, scores: dict[str, Scores], step: int | None, changed: dict[str, Any]
) -> None:
  """Prints the scores, and writes them as JSON if --json is given."""
  first = scores['averaged']
  where = values.weights or values.workdir
  print(f'{where}, step {step}, {values.split}: {first.examples} examples')
  if changed:
    print(f'other config than in training: {resume.describe(changed)}')
  body = [[x, *(f'{found.means[x]:.4f}' for found in scores.values())] for x in first.means]
  tables.show(['metric', *scores], body)
  if first.faults:
    print(first.faults)
  if values.json:
    about = {'split': values.split, 'step': step}
    about |= {'examples': first.examples, 'unreadable': first.unreadable}
    found = {name: {'means': x.means, 'nans': x.nans} for name, x in scores.items()}
    atomic.write_json(values.json, about | found)
