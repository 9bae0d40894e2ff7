"""The loop: restore, then save, evaluate, fetch a batch, step, log, in this order, until the end.

What is due is done to the state before the next batch is taken, so that state, metrics and place
in the data of one checkpoint belong together. Scalars of a step are fetched while the next one
runs.
"""

import contextlib
import pathlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import ml_collections
import numpy as np

from depthjax import parallel
from depthjax.files import atomic, weights
from depthjax.train import evaluate as evaluate_lib
from depthjax.train import experiment as experiment_lib
from depthjax.train import resume
from depthjax.train.checkpoint import Checkpoints
from depthjax.train.clock import Clock
from depthjax.train.log import Log, Silent
from depthjax.train.profile import Profile


class NotFinite(RuntimeError):
  """A loss or gradient was NaN or infinite; the state before it is saved."""


class Terminated(RuntimeError):
  """The process was asked to stop (SIGTERM) and the state is saved."""


def train(
  config: ml_collections.ConfigDict, workdir: str | pathlib.Path, *, profile: range = range(0)
) -> dict[str, float]:
  """Trains to `config.steps` in `workdir`, from its newest checkpoint if it has one.

  Writes metrics.jsonl, config.json, events/, pictures/, checkpoints/ and weights.safetensors (the
  averaged variables), and profile/, a trace of the steps `profile`. Returns the last evaluation.

  Raises:
    NotFinite: the run diverged.
    Terminated: SIGTERM came.
    files.errors.InputError: too many photographs or foregrounds cannot be decoded.
    configuring.ConfigError, ValueError: as experiment.build.
  """
  workdir = pathlib.Path(workdir)
  experiment = experiment_lib.build(config)
  # Opened now, so that a folder without enough photographs says so before hours of training.
  experiment.batches('val', 0).close()
  first = jax.process_index() == 0
  workdir.mkdir(parents=True, exist_ok=True)
  saves = config.checkpoint
  checkpoints = Checkpoints(workdir / 'checkpoints', keep=saves.keep, keep_every=saves.keep_every)
  with contextlib.closing(checkpoints), _terminations() as asked:
    state, start = resume.restore(experiment, config, checkpoints, workdir)
    if first:
      atomic.write_bytes(workdir / 'config.json', resume.as_json(config).encode(), ('.json',))
    log = Log(workdir, start=start, total=config.steps) if first else Silent()
    with contextlib.closing(log):
      log.say(_summary(state, start, workdir))
      run = _Run(experiment, config, workdir, checkpoints, log)
      with contextlib.closing(Profile(workdir / 'profile', profile)) as run.profile:
        return run.to_end(state, start, asked)


class _Run:
  """The loop's surroundings, so that its body reads in one breath."""

  def __init__(self, experiment, config, workdir, checkpoints, log):
    self.experiment = experiment
    self.config = config
    self.workdir = workdir
    self.checkpoints = checkpoints
    self.log = log
    self.profile = Profile(workdir, range(0))
    self.clock = Clock(config.batch_size)

  def to_end(self, state: Any, start: int, asked: threading.Event) -> dict[str, float]:
    with contextlib.closing(self.experiment.feed(start)) as batches:
      state = self.steps(state, start, batches, asked)
    self.save(state, self.config.steps)
    return self.evaluate(state, self.config.steps)

  def steps(self, state: Any, start: int, batches: Iterator, asked: threading.Event) -> Any:
    config, compiled, pending = self.config, None, None
    for step in range(start, config.steps):
      saves = step > start and _due(step, config.checkpoint.every)
      evaluates = step > start and _due(step, config.eval.every)
      stops = _stops(asked, step)
      if pending and (saves or evaluates or stops):
        # What is saved or evaluated is on record first: a run killed just after loses no line.
        self.write(*pending, state)
        pending = None
      if saves or stops:
        self.save(state, step)
      if stops:
        raise Terminated(f'stopped at step {step}; the same command goes on from there')
      if evaluates:
        self.evaluate(state, step)
      with self.clock.waiting():
        batch = next(batches)
      compiled = compiled or self.compile(state, batch)
      with self.profile.step(step) as results:
        state, scalars = compiled(state, batch)
        results.append(scalars)
      if pending:
        self.write(*pending, state)
      pending = step + 1, scalars
    if pending:
      self.write(*pending, state)
    return state

  def compile(self, state: Any, batch: Any) -> Callable[[Any, Any], tuple[Any, Any]]:
    """The step for arrays of these shapes and layouts alone: others it refuses."""
    with self.clock.paused():
      begin = time.perf_counter()
      compiled = self.experiment.runner.step.lower(state, batch).compile()
      self.log.say(f'compiled the step in {time.perf_counter() - begin:.1f} s')
    return compiled

  def save(self, state: Any, step: int) -> None:
    """Saves a state that is good; one that is not ends the run, at the last step that was."""
    if not jax.device_get(state.finite):
      self.diverged(state)
    self.checkpoints.save(step, state)

  def write(self, step: int, scalars: dict[str, jax.Array], state: Any) -> None:
    """Logs a step's scalars if they are due, once they are there; stops a run that diverged."""
    self.clock.stepped(scalars)
    if step % self.config.log_every and step != self.config.steps:
      self.log.advance(step)
      return
    values = {name: float(value) for name, value in jax.device_get(scalars).items()}
    rates = self.clock.rates()
    values['learning_rate'] = float(self.experiment.schedule(step - 1))
    self.log.write(step, {**values, **rates})
    self.log.advance(step, loss=values['loss'], rate=rates['examples_per_second'])
    if not jax.device_get(state.finite):
      self.diverged(state)

  def evaluate(self, state: Any, step: int) -> dict[str, float]:
    with self.clock.paused():
      scores = evaluate_lib.evaluate(self.experiment, self.config, state, 'val')
      pictures = evaluate_lib.draw(self.experiment, self.config, state)
      variables = self.experiment.runner.whole(state.ema)
      self.log.write(step, scores, kind='eval')
      self.log.pictures(step, pictures)
      self.log.say(f'step {step}  ' + '  '.join(f'{k} {v:.3f}' for k, v in scores.items()))
      if jax.process_index() == 0:
        evaluate_lib.write_pictures(self.workdir / 'pictures', step, pictures)
        metadata = {'task': self.config.task, 'step': step, 'config': self.config.to_dict()}
        weights.save_weights(
          self.workdir / 'weights.safetensors', jax.device_get(variables), metadata
        )
    return scores

  def diverged(self, state: Any) -> None:
    good = int(jax.device_get(state.step))
    self.checkpoints.save(good, state.replace(finite=np.ones((), bool)))
    raise NotFinite(
      f'the loss or its gradient was not finite at step {good + 1}; the state of step {good} is '
      'saved. Try a lower optimizer.peak'
    )


@contextlib.contextmanager
def _terminations():
  """An event that SIGTERM sets; the previous handler comes back at the end."""
  asked = threading.Event()
  if threading.current_thread() is not threading.main_thread():
    yield asked
    return
  previous = signal.signal(signal.SIGTERM, lambda *_: asked.set())
  try:
    yield asked
  finally:
    signal.signal(signal.SIGTERM, previous)


def _stops(asked: threading.Event, step: int) -> bool:
  """Whether all processes stop at this step; several ask each other every tenth only."""
  if jax.process_count() > 1 and step % 10:
    return False
  return parallel.agreed(asked.is_set())


def _due(step: int, every: int) -> bool:
  return every > 0 and step % every == 0


def _summary(state: Any, start: int, workdir: pathlib.Path) -> str:
  count = sum(x.size for x in jax.tree.leaves(state.params))
  devices = f'{jax.device_count()} {jax.devices()[0].platform} device(s)'
  where = f'resuming from step {start}' if start else 'starting'
  return f'{where}: {count:,} parameters on {devices}, {workdir}'
