"""Logs a run to Weights & Biases, if `log.wandb` is set; needs the extra depthjax[wandb]."""

import os
import pathlib
import secrets
from typing import Any

import numpy as np

from depthjax.configuring import ConfigError
from depthjax.files.errors import optional


class Wandb:
  """A run of Weights & Biases with the name of the workdir; the methods are those of Events.

  The variables WANDB_PROJECT (default: depthjax), WANDB_ENTITY and WANDB_MODE (such as offline)
  apply. A resumed run goes on in the same W&B run, whose id is in WORKDIR/wandb_id.

  Raises ConfigError: W&B refuses the run; InputError: the package is missing.
  """

  def __init__(self, workdir: pathlib.Path, config: dict[str, Any]):
    with optional('log.wandb', 'wandb', 'wandb'):
      import wandb
    self._wandb, path = wandb, workdir / 'wandb_id'
    if not path.exists():
      path.write_text(secrets.token_hex(4), encoding='utf-8')
    try:
      self._run = wandb.init(
        project=os.environ.get('WANDB_PROJECT', 'depthjax'),
        dir=workdir,
        id=path.read_text(encoding='utf-8').strip(),
        name=workdir.name,
        config=config,
        resume='allow',
        settings=wandb.Settings(silent=True),
      )
    except wandb.errors.Error as error:
      right = 'run `wandb login`, or set WANDB_MODE=offline'
      raise ConfigError(f'log.wandb is True, but W&B refuses the run ({error}); {right}') from error
    self._run.define_metric('*', step_metric='step')  # Steps repeat when a killed run resumes.

  def scalars(self, step: int, values: dict[str, float]) -> None:
    """Logs scalars by name."""
    self._run.log({'step': step, **values})

  def images(self, step: int, pictures: dict[str, np.ndarray]) -> None:
    """Logs pictures [h w 3] in [0, 1] by name."""
    images = {name: self._wandb.Image(np.clip(x, 0, 1)) for name, x in pictures.items()}
    self._run.log({'step': step, **images})

  def close(self) -> None:
    """Uploads what is pending and ends the run."""
    self._run.finish()
