"""The training loop: restore, then repeat save, evaluate, fetch a batch, step and log.

Saving and evaluation of a state precede the next batch, so that state, metrics and data position of
a checkpoint agree. The scalars of a step are fetched while the next step runs; `means` says what of
them is logged.
"""

import contextlib
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import ml_collections

from depthjax import processes
from depthjax.files import disk, weights
from depthjax.train import evaluate as evaluate_lib
from depthjax.train import experiment as experiment_lib
from depthjax.train import lock, provenance, record, resume, stopping
from depthjax.train import means as means_lib
from depthjax.train import workdir as workdir_lib
from depthjax.train.checkpoint import Checkpoints
from depthjax.train.clock import Clock
from depthjax.train.errors import NotFinite, Terminated
from depthjax.train.log import Log, Silent
from depthjax.train.means import Means
from depthjax.train.profile import Profile

_FREE_SPACE = 'free space there; the same command then resumes from the last checkpoint'


def train(
  config: ml_collections.ConfigDict,
  workdir: str | pathlib.Path,
  terms: resume.Terms = resume.STRICT,
  *,
  profile: range = range(0),
  resume_step: int | None = None,
) -> dict[str, float]:
  """Trains to `config.steps` in `workdir`; resumes from its newest checkpoint if `terms` allow it.

  With `resume_step`, resumes from the checkpoint of that step as if there were no later ones.

  Writes metrics.jsonl, config.json, provenance.jsonl, events/, pictures/, checkpoints/,
  weights.safetensors (the averaged variables) and, for the steps of `profile`, profile/. Returns
  the last evaluation.

  Raises:
    NotFinite: a loss, gradient or update was not finite.
    Terminated: the process received SIGTERM or SIGINT.
    files.errors.InputError: too many images cannot be decoded, the disk is full, the folder is in
      use or not writable; and as `workdir.resolve` and `resume.restore`.
    configuring.ConfigError: as `experiment.build` and `resume.restore`.
  """
  workdir = workdir_lib.resolve(workdir)
  experiment = experiment_lib.build(config)
  for split in ('train', 'val'):
    experiment.batches(split, 0).close()  # Too few images are an error now, not after hours.
  first = jax.process_index() == 0
  with disk.write_errors(workdir, _FREE_SPACE, disk.FULL), contextlib.ExitStack() as stack:
    stack.enter_context(lock.held(workdir))
    saves, folder = config.checkpoint, workdir / 'checkpoints'
    checkpoints = Checkpoints(folder, keep=saves.keep, keep_every=saves.keep_every)
    stack.enter_context(checkpoints)
    stops = stack.enter_context(stopping.on_signals())
    begin = resume.restore(experiment, config, checkpoints, workdir, terms, resume_step)
    state, start, means, changed = begin
    log, origin = Silent(), {}
    if first:
      record.write(workdir, config, start, changed)
      origin = provenance.describe(config)
      provenance.append(workdir, origin)
      wandb = config.to_dict() if config.log.wandb else None
      log = Log(workdir, start=start, total=config.steps, wandb=wandb)
    with contextlib.closing(log):
      log.say(_summary(state, start, workdir))
      if changed:
        log.say(f'changed: {resume.describe(changed)}')
      traced = stack.enter_context(contextlib.closing(Profile(workdir / 'profile', profile)))
      clock = Clock(config.batch_size, start)
      parts = (checkpoints, log, stops, traced, clock, means, origin)
      run = _Run(experiment, config, workdir, *parts)
      with contextlib.closing(experiment.feed(start)) as batches:
        state = run.steps(state, start, batches)
      run.save(state, config.steps)
      return run.evaluate(state, config.steps)


class _Run(NamedTuple):
  """Holds config, log and checkpoints of one training run."""

  experiment: experiment_lib.Experiment
  config: ml_collections.ConfigDict
  workdir: pathlib.Path
  checkpoints: Checkpoints
  log: Log | Silent
  stops: Callable[[], bool]  # Of stopping.on_signals.
  profile: Profile
  clock: Clock
  means: Means
  origin: dict[str, Any]  # As provenance.describe, for the weights.

  def steps(self, state: Any, start: int, batches: Iterator) -> Any:
    config, compiled, pending = self.config, None, None
    frozen = self.experiment.frozen()
    hyper = self.experiment.runner.replicate(self.experiment.hyper)
    # A run that was killed during an evaluation has saved the step but not evaluated it.
    unevaluated = processes.any_process(start > 0 and not self.log.has('eval'))
    for step in range(start, config.steps):
      saves = step > start and _due(step, config.checkpoint.every)
      evaluates = (step > start or unevaluated) and _due(step, config.eval.every)
      stops = self.stops()
      if pending and (saves or evaluates or stops):
        # Log first, so that a run that is killed after the save loses no line.
        self.write(*pending, state)
        pending = None
      if stops:
        self.stopped(state, step)
      if saves:
        self.save(state, step)
      if evaluates:
        self.evaluate(state, step)
      with self.clock.timed('input'):
        batch = next(batches)
      compiled = compiled or self.compile(state, frozen, hyper, batch)
      with self.profile.step(step) as results:
        state, scalars = compiled(state, frozen, hyper, batch)
        results.append(scalars)
      jax.tree.map(lambda x: x.copy_to_host_async(), scalars)
      if pending:
        self.write(*pending, state)
      pending = step + 1, scalars
    if pending:
      self.write(*pending, state)
    return state

  def compile(self, *arguments: Any) -> Callable[..., tuple[Any, Any]]:
    """The compiled step; it accepts only arrays of these shapes and shardings."""
    with self.clock.timed('pause'):
      begin = time.perf_counter()
      compiled = self.experiment.runner.step.lower(*arguments).compile()
      # The first collective of a step would time out if one process compiled much longer.
      processes.barrier()
      self.log.say(f'compiled the step in {time.perf_counter() - begin:.1f} s')
    return compiled

  def save(self, state: Any, step: int) -> None:
    """Saves a state and its record."""
    self.checkpoints.save(step, state, self.means.record(step))

  def stopped(self, state: Any, step: int) -> None:
    """Saves the state and ends the run."""
    self.save(state, step)
    self.checkpoints.wait()
    raise Terminated(f'stopped at step {step}; the same command resumes from there')

  def write(self, step: int, scalars: dict[str, jax.Array], state: Any) -> None:
    """Waits for the scalars of a step and logs means every `log_every`; ends a diverged run."""
    self.checkpoints.check()
    # At most two steps are in flight.
    values = {name: float(value) for name, value in jax.device_get(scalars).items()}
    if not values.pop('finite'):
      self.diverged(int(jax.device_get(state.step)))
    self.means.add(values)
    if step % self.config.log_every and step != self.config.steps:
      self.log.advance(step)
      return
    line, rates = self.means.line(), self.clock.rates(step)
    line['learning_rate'] = float(self.experiment.schedule(step - 1))
    self.log.write(step, {**line, **rates})
    self.log.advance(step, loss=line['loss'], rate=rates['examples_per_second'])

  def evaluate(self, state: Any, step: int) -> dict[str, float]:
    """Evaluates and exports the averaged variables; returns the metrics."""
    config = self.config

    def check() -> None:
      if self.stops():
        self.stopped(state, step)

    with self.clock.timed('pause'):
      scores = evaluate_lib.evaluate(self.experiment, state, 'val', each=check)
      pictures = evaluate_lib.draw(self.experiment, config, state)
      variables = self.experiment.runner.replicate(state.ema)
      if jax.process_index() == 0:
        evaluate_lib.write_pictures(self.workdir / 'pictures', step, pictures)
        about = {'task': config.task, 'step': step, 'config': config.to_dict()}
        about['provenance'] = self.origin
        path = self.workdir / 'weights.safetensors'
        weights.save_weights(path, jax.device_get(variables), about)
      self.log.pictures(step, pictures)
      # Last, so that an evaluation in the log is complete.
      self.log.write(step, scores.means, kind='eval')
      self.log.say(f'step {step}  ' + '  '.join(f'{k} {v:.3f}' for k, v in scores.means.items()))
      if scores.faults:
        self.log.say(f'step {step}  {scores.faults}')
    return scores.means

  def diverged(self, last: int) -> None:
    """Ends the run after step `last`; saves nothing, since the next step would diverge again."""
    self.checkpoints.wait()
    good = means_lib.good(self.checkpoints.records(), last, self.means.record(last))
    onward = 'no checkpoint is good: start another --workdir with'
    if good is not None:
      onward = f'go on from the newest good checkpoint with --resume={good}, --change and'
    raise NotFinite(
      f'the loss, its gradient or the update was not finite at step {last + 1}; {onward} '
      'a lower --config.optimizer.peak'
    )


def _due(step: int, every: int) -> bool:
  return every > 0 and step % every == 0


def _summary(state: Any, start: int, workdir: pathlib.Path) -> str:
  count = sum(x.size for x in jax.tree.leaves(state.params))
  devices = f'{jax.device_count()} {jax.devices()[0].platform} device(s)'
  begin = f'resuming from step {start}' if start else 'starting'
  return f'{begin}: {count:,} parameters on {devices}, {workdir}'
