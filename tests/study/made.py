"""Folders of runs, without any training."""

import json

from tests import tiny


def save(path, *evals, change=lambda config: None, **fields):
  """A run of tiny.config with a training line per step, and evaluations (step, {metric: value})."""
  config = tiny.config(**fields).to_dict()
  change(config)
  lines = [{'step': step, 'kind': 'train', 'loss': 1 / step} for step in range(1, 7)]
  lines += [{'step': step, 'kind': 'eval', **metrics} for step, metrics in evals]
  path.mkdir(parents=True, exist_ok=True)
  (path / 'config.json').write_text(json.dumps(config))
  (path / 'metrics.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
  return path
