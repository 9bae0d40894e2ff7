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
  """A lab whose networks have random variables, of a config with another frame and other steps."""
  root = tmp_path_factory.mktemp('lab')
  config = configuring.load('layered', 'smoke').to_dict()
  config['data']['height'], config['steps'] = 32, 5
  metadata = {'task': 'layered', 'step': 5, 'config': json.loads(json.dumps(config))}
  rng, shapes = np.random.default_rng(0), models.from_config(config)[1]
  draw = lambda x: (0.1 * rng.random(x.shape)).astype(np.float32)  # noqa: E731
  variables = jax.tree.map(draw, shapes)
  given = weights.save_weights(root / 'given.safetensors', variables, metadata)
  fields = {'eval.examples': 2}
  return Lab(root, 'smoke', fields, layered.EXPERIMENTS, dict.fromkeys(layered.EXPERIMENTS, given))


def test_ablations_change_only_their_fields_after_the_same_first_stage(tmp_path):
  lab = Lab(tmp_path, 'small', {}, layered.EXPERIMENTS)
  full = record.deciding(lab.config('layered').to_dict())
  expected = {
    'layered-single': {'loss.layers'},
    'layered-no-p2': {'data.corruption_radius', 'data.masked.displaced'},
    'layered-no-p3': {'data.corruption_sigma'},
    'layered-no-p4': {'data.masked.filled'},
    'layered-no-p5': {'data.masked.thinned'},
    'layered-one-stage': {'initialise.weights', 'steps'},
  }
  for name, changed in expected.items():
    fields = record.deciding(lab.config(name).to_dict())
    assert {field for field in full if fields[field] != full[field]} == changed, name
  steps = [lab.config(f'layered{x}').steps for x in ('-completion', '', '-one-stage')]
  assert steps[0] + steps[1] == steps[2]


def test_rows_have_all_columns_and_no_values_that_were_not_published(lab):
  for table in layered.TABLES.values():
    assert {row.label for row in table.rows if row.measure} >= {table.reference}
    for row in table.rows:
      assert len(row.paper) == len(table.paper_columns), row.label
      assert (row.measure is None) == any(row.paper), row.label


def test_r3_is_the_ratio_of_the_summed_counts(lab):
  filled = table_lib.fill(layered.MAIN, [lab])
  columns = dict(zip(layered.MAIN.columns, zip(*filled.values[:8], strict=True), strict=True))
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
  (x, *_), study = list(_records(lab)), layered._STUDY
  seen, inside = x['seen'], x['mask'] > 0.5
  result = {
    kind: study.function(Method(kind, run), lab, 64)(x)
    for kind, run in [
      *((kind, '') for kind in ('initial', 'composite', 'guided', 'fill wide')),
      *((kind, 'layered') for kind in ('refined wide', 'layers', 'single')),
    ]
  }
  for name, found in result.items():
    assert found.shape == seen.shape and (name == 'initial' or (found != seen).any()), name
  assert np.ptp(result['composite'][inside]) == 0
  np.testing.assert_array_equal(result['composite'][~inside], seen[~inside])
  np.testing.assert_array_equal(result['layers'][inside], result['single'][inside])
  np.testing.assert_array_equal(
    result['fill wide'], fill.refine(seen, x['mask'], distance=layered._WIDE)
  )


def _records(lab):
  config = lab.config('layered')
  return refinement._records(config.data.to_dict(), config.eval.examples)
