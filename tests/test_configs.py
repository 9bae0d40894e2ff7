"""Every config in configs/ can be traced and trains two steps at its smoke size."""

import importlib.util
import pathlib

import jax
import numpy as np
import pytest

from depthjax.train import experiment as experiment_lib
from depthjax.train import log as log_lib
from depthjax.train import loop

_CONFIGS = sorted(pathlib.Path(__file__).parents[1].glob('configs/*.py'))


@pytest.mark.parametrize('path', _CONFIGS, ids=lambda path: path.stem)
def test_the_step_of_the_smoke_size_can_be_traced(path):
  """All shapes, types and fields fit, without the minutes of compiling."""
  config = _load(path).get_config('smoke').lock()
  runner = experiment_lib.build(config, jax.devices()[:1]).runner
  batch = experiment_lib.placeholder_batch(config)
  new, scalars = jax.eval_shape(runner.step, runner.abstract, runner.frozen, batch)
  assert scalars['loss'].shape == () and new.step.dtype == np.int32
  # A state that changed its shape or type would stop the second step.
  forms = [[(x.shape, x.dtype) for x in jax.tree.leaves(tree)] for tree in (new, runner.abstract)]
  assert forms[0] == forms[1]


@pytest.mark.slow
@pytest.mark.parametrize('path', _CONFIGS, ids=lambda path: path.stem)
def test_the_smoke_size_trains_two_steps(path, tmp_path):
  config = _load(path).get_config('smoke')
  config.steps, config.log_every = 2, 1
  # Code that is compiled without optimisation, as in all tests, is slow: two examples a step.
  config.batch_size = config.eval.examples = 2
  config.parallel.devices = 1
  if 'start' in config.loss:
    config.loss.start = 1  # Both of its kinds of steps.
  scores = loop.train(config.lock(), tmp_path)
  losses = [line['loss'] for line in log_lib.read_metrics(tmp_path)]
  assert len(losses) == 2 and np.isfinite(losses).all() and losses[0] != losses[1]
  assert all(np.isfinite(value) for value in scores.values())
  assert list((tmp_path / 'pictures').glob('*.png'))


def _load(path):
  spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module
