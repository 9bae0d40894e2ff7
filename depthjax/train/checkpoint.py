"""Checkpoints by Orbax: asynchronous, atomic, kept by policy, restored on any number of devices."""

import pathlib
from typing import Any

import jax
import orbax.checkpoint as ocp

from depthjax.files.errors import InputError


class Checkpoints:
  """The checkpoints of one run, in `folder`/STEP.

  A save is written under a temporary name and renamed when whole: a run killed in the middle of
  one leaves the last good checkpoint, and what it left behind is cleared at the next start.
  """

  def __init__(
    self,
    folder: str | pathlib.Path,
    *,
    keep: int = 3,
    keep_every: int = 0,
    read_only: bool = False,
  ):
    # Only the run itself may clear: another reader would take the save it has under way.
    options = ocp.CheckpointManagerOptions(
      max_to_keep=keep,
      keep_period=keep_every or None,
      # The loop says when; Orbax by itself saves the first step it is shown as well.
      should_save_fn=lambda step, latest: True,
      cleanup_tmp_directories=True,
    )
    reading = ocp.CheckpointManagerOptions(
      read_only=True, save_interval_steps=0, create=False, max_to_keep=None
    )
    self._manager = ocp.CheckpointManager(
      pathlib.Path(folder).absolute(),
      item_handlers=ocp.StandardCheckpointHandler(),
      options=reading if read_only else options,
    )

  def latest(self) -> int | None:
    """The newest complete step, None where there is none."""
    return self._manager.latest_step()

  def save(self, step: int, state: Any) -> None:
    """Starts to save and returns once the arrays are copied; a step that exists stays."""
    if step != self.latest():
      self._manager.save(step, args=ocp.args.StandardSave(state))

  def restore(self, abstract: Any, step: int | None = None) -> Any:
    """The state of `step` (the newest), laid out as `abstract` says.

    Raises:
      InputError: the checkpoint is of a model with other arrays.
    """
    step = self.latest() if step is None else step
    saved = self._manager.item_metadata(step)
    _same_arrays(saved, abstract, f'{self._manager.directory}/{step}')
    return self._manager.restore(step, args=ocp.args.StandardRestore(abstract))

  def close(self) -> None:
    """Waits for the save under way."""
    self._manager.wait_until_finished()
    self._manager.close()


def _same_arrays(saved: Any, abstract: Any, where: str) -> None:
  """Orbax pads or cuts arrays of another shape silently or fails in pages; this fails in a line."""
  has = _shapes(saved)
  wants = _shapes(abstract)
  for name in sorted(has.keys() | wants.keys()):
    if has.get(name) != wants.get(name):
      raise InputError(
        where,
        f'is of another model: array {name!r} is {has.get(name, "missing")} there and '
        f'{wants.get(name, "missing")} in this config',
        'the config that the run was started with',
      )


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
  leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
  return {_path_name(path): tuple(leaf.shape) for path, leaf in leaves}


def _path_name(path: tuple) -> str:
  """Attributes and keys alike: the metadata has dicts where the state has types."""
  return '/'.join(str(getattr(k, 'name', getattr(k, 'key', getattr(k, 'idx', k)))) for k in path)
