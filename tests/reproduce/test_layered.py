"""Tables of layered refinement: experiments, methods on test scenes, the ratio of sums."""

import json

import jax
import numpy as np
import pytest

from depthjax import configuring
from depthjax.files import weights
from depthjax.models import layered as models
from depthjax.pipelines.mask_refine import fill
from depthjax.reproduce import layered, refinement
from depthjax.reproduce import table as table_lib
from depthjax.reproduce.lab import Lab
from depthjax.reproduce.refinement import Method
from depthjax.train import record


@pytest.fixture(scope='module')
def lab(tmp_path_factory):
  """A lab whose networks have random variables, of a config with other steps."""
  root = tmp_path_factory.mktemp('lab')
  config = json.loads(json.dumps({**configuring.load('layered', 'smoke').to_dict(), 'steps': 5}))
  rng, shapes = np.random.default_rng(0), models.from_config(config)[1]
  variables = jax.tree.map(lambda x: (0.1 * rng.random(x.shape)).astype(np.float32), shapes)
  metadata = {'task': 'layered', 'step': 5, 'config': config}
  given = weights.save_weights(root / 'given.safetensors', variables, metadata)
  given = dict.fromkeys(layered.EXPERIMENTS, given)
  return Lab(root, 'smoke', {'eval.examples': 2}, layered.EXPERIMENTS, given)


def test_ablations_change_only_their_fields_after_the_same_first_stage(tmp_path):
  lab = Lab(tmp_path, 'small', {}, layered.EXPERIMENTS)
  full = record.deciding(lab.config('layered').to_dict())
  expected = {
    'single': {'loss.layers'},
    'no-p2': {'data.corruption_radius', 'data.masked.displaced'},
    'no-p3': {'data.corruption_sigma'},
    'no-p4': {'data.masked.filled'},
    'no-p5': {'data.masked.thinned'},
    'one-stage': {'initialise.weights', 'steps'},
  }
  for name, changed in expected.items():
    fields = record.deciding(lab.config(f'layered-{name}').to_dict())
    assert {field for field in full if fields[field] != full[field]} == changed, name
  steps = [lab.config(f'layered{x}').steps for x in ('-completion', '', '-one-stage')]
  assert steps[0] + steps[1] == steps[2]


def test_r3_is_the_ratio_of_the_summed_counts(lab):
  filled = table_lib.fill(layered.MAIN, [lab])
  columns = dict(zip(layered.MAIN.columns, zip(*filled.values[:7], strict=True), strict=True))
  means = {name: np.array([x.mean for x in values]) for name, values in columns.items()}
  assert all(np.isfinite(x).all() for x in means.values())
  improved, harmed, ratio = (means[name] for name in ('improved', 'harmed', 'R³'))
  assert improved[0] == harmed[0] == 0 and ratio[0] == 1
  assert (harmed[1:3] > 0).all()
  np.testing.assert_allclose(ratio[1:3], improved[1:3] / harmed[1:3])
  # It has no error over the scenes.
  text = table_lib.markdown(filled, 'command', 'setting')
  _, row = (x for x in text.splitlines() if x.startswith('| Initial prediction |'))
  assert 'nan' not in row and row.count('±') == len(layered.MAIN.columns) - 1


def test_methods_use_the_mask(lab):
  config = lab.config('layered')
  x = next(refinement._records(config.data.to_dict(), 1))
  seen, inside = x['seen'], x['mask'] > 0.5
  runs = dict.fromkeys(('guided', 'composite', 'wide'), '')
  runs |= dict.fromkeys(('refined', 'layers', 'single'), 'layered')
  found = {kind: layered._function(Method(kind, run), lab, 64)(x) for kind, run in runs.items()}
  flat = {**x, 'seen': 0 * seen + 0.5}
  assert layered._function(Method('layers', 'layered'), lab, 64)(flat) is flat['seen']
  assert all(y.shape == seen.shape and (y != seen).any() for y in found.values())
  assert (found['composite'][inside] == np.median(seen[inside])).all()
  np.testing.assert_array_equal(found['composite'][~inside], seen[~inside])
  np.testing.assert_array_equal(found['layers'][inside], found['single'][inside])
  np.testing.assert_array_equal(found['wide'], fill.refine(seen, x['mask'], distance=0.04))
