"""Data and FSDP parallelism: the mesh, shardings of the state, and runners for jit and pmap.

The mesh has the axes `data` and `fsdp`. The batch is split over both; parameters whose layout is
'fsdp' are split over `fsdp`. No other module names these axes. The functions of a step know nothing
of them: a `Runner` holds pure functions of a state and a batch, compiled.
"""

import collections
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from depthjax import rules
from depthjax.configuring import ConfigError

_DATA, _FSDP = 'data', 'fsdp'
_BATCH = P((_DATA, _FSDP))
_PMAP = 'batch'

State = Any
Batch = Any


class Runner(NamedTuple):
  """Pure functions of a state, frozen networks and a batch, compiled for a mesh.

  `step` maps (state, frozen, hyper, batch) to (state, scalars) and donates the given state; `hyper`
  holds numbers that are equal on all processes. `read` compiles a function (state, frozen, batch)
  -> arrays [b ...] with replicated results.
  """

  init: Callable[[jax.Array], State]  # Key data -> state, sharded by the layouts.
  abstract: State  # Shapes, dtypes and shardings, for restoring a checkpoint.
  frozen: Any  # The same for the variables of the frozen networks.
  step: Callable[[State, Any, Any, Batch], tuple[State, dict[str, jax.Array]]]
  read: Callable[[Callable], Callable[[State, Any, Batch], Any]]
  replicate: Callable[[Any], Any]  # Copies arrays to all devices.
  put: Callable[[Batch], Batch]  # This process's part on the host -> the global batch on devices.
  put_frozen: Callable[[Any], Any]  # The same for variables of the frozen networks.


def make_mesh(fsdp: int = 1, devices: Sequence[jax.Device] | None = None) -> Mesh:
  """A mesh (data, fsdp) of the devices, with Auto axes; Linen does not support Explicit ones.

  Several TPU slices make a hybrid mesh: `fsdp` stays within a slice, where all-gathers use the
  fast interconnect (ICI), so that only gradients cross slices (DCN).

  Raises ConfigError if `fsdp` does not divide the chips of a slice, or slices are incomplete.
  """
  devices = list(jax.devices() if devices is None else devices)
  slices = collections.Counter(getattr(device, 'slice_index', None) for device in devices)
  chips = len(devices) // len(slices)
  axes, types = (_DATA, _FSDP), (AxisType.Auto,) * 2
  if len(slices) == 1:
    return jax.make_mesh((chips // fsdp, fsdp), axes, types, devices=devices)
  if set(slices.values()) != {chips}:
    raise ConfigError('parallel.devices selects parts of slices; use 0 for all devices')
  if chips % fsdp:
    raise ConfigError(f'parallel.fsdp is {fsdp}; it must divide the {chips} chips of a slice')
  grid = mesh_utils.create_hybrid_device_mesh((chips // fsdp, fsdp), (len(slices), 1), devices)
  return Mesh(grid, axes, axis_types=types)


def axis_name(mode: str) -> str | None:
  """The axis name for averaging batch statistics under pmap; None under jit."""
  return _PMAP if mode == 'pmap' else None


def map_examples(mode: str, mesh: Mesh) -> Callable[[Callable], Callable]:
  """A transformation like vmap that runs the examples of a batch in sequence on each device.

  It keeps a `dynamic_slice` whose start depends on the example, which vmap turns into a gather, and
  needs memory for the intermediate results of one example at a time.
  """

  def mapped_over_batch(function: Callable) -> Callable:
    mapped = functools.partial(jax.lax.map, function)
    if mode == 'pmap':
      return mapped
    return jax.shard_map(mapped, mesh=mesh, in_specs=_BATCH, out_specs=_BATCH, check_vma=False)

  return mapped_over_batch


def averaged(gradients: Callable, mode: str) -> Callable:
  """The gradient function, its results averaged over devices under pmap.

  Under jit the batch is one global array, so its mean needs no collective here.
  """
  if mode != 'pmap':
    return gradients

  def mean(state: State, frozen: Any, batch: Batch) -> Any:
    grads, new, scalars = gradients(state, frozen, batch)
    # Of the changes, because the mean of equal numbers is rounded: frozen statistics would drift.
    changes = jax.tree.map(jnp.subtract, new, state.model_state)
    grads, changes, scalars = jax.lax.pmean((grads, changes, scalars), _PMAP)
    return grads, jax.tree.map(jnp.add, state.model_state, changes), scalars

  return mean


def all_gathered(gradients: Callable, mode: str, mesh: Mesh) -> Callable:
  """The gradient function with parameters and frozen variables replicated before use (FSDP).

  Each array is then all-gathered once a step. Without this constraint XLA partitions convolutions
  along the split channels of a parameter and communicates activations instead.
  """
  if mode == 'pmap':
    return gradients

  def replicated(state: State, frozen: Any, batch: Batch) -> Any:
    params, frozen = _replicated((state.params, frozen), mesh)
    return gradients(state.replace(params=params), frozen, batch)

  return replicated


def jit_runner(
  init: Callable, step: Callable, mesh: Mesh, layouts: Sequence, *, min_size: int, frozen: Any
) -> Runner:
  """The default runner: jit with NamedSharding, on any number of processes.

  `layouts` and `min_size` are those of `state_shardings`; `frozen` holds the variables of frozen
  networks or their shapes.
  """
  replicated, split = NamedSharding(mesh, P()), NamedSharding(mesh, _BATCH)
  sharding = functools.partial(state_shardings, layouts=layouts, mesh=mesh, min_size=min_size)
  (shardings, of_frozen), fields = _placement(init, frozen, sharding, replicated)
  layout = (shardings, of_frozen, split)

  def read(function: Callable) -> Callable:
    def on_replicated(state: State, frozen: Any, batch: Batch) -> Any:
      return function(*_replicated((state, frozen), mesh), batch)

    return jax.jit(on_replicated, in_shardings=layout, out_shardings=replicated)

  return Runner(
    **fields,
    # Without out_shardings XLA changes the shardings of the state from step to step.
    step=jax.jit(
      step,
      in_shardings=(shardings, of_frozen, replicated, split),
      out_shardings=(shardings, replicated),
      donate_argnums=0,
    ),
    read=read,
    put=lambda batch: jax.tree.map(
      lambda x: jax.make_array_from_process_local_data(split, np.asarray(x)), batch
    ),
  )


def pmap_runner(init: Callable, step: Callable, mesh: Mesh, *, frozen: Any) -> Runner:
  """The runner for jax.pmap: state and frozen networks replicated, the batch split."""
  devices = list(mesh.devices.flat)
  replicated = NamedSharding(mesh, P())
  split = NamedSharding(Mesh(np.array(devices), (_PMAP,)), P(_PMAP))
  sharding = functools.partial(jax.tree.map, lambda _: replicated)
  pmap = functools.partial(jax.pmap, axis_name=_PMAP, devices=devices)

  def put(batch: Batch) -> Batch:
    parts = jax.tree.map(lambda x: np.reshape(x, (len(devices), -1, *np.shape(x)[1:])), batch)
    return jax.device_put(parts, split)

  def read(function: Callable) -> Callable:
    mapped = pmap(function, in_axes=(None, None, 0))
    return lambda *arguments: jax.tree.map(
      lambda x: x.reshape(-1, *x.shape[2:]), mapped(*arguments)
    )

  return Runner(
    **_placement(init, frozen, sharding, replicated)[1],
    step=pmap(step, in_axes=(None, None, None, 0), out_axes=(None, None)),
    read=read,
    put=put,
  )


def _placement(
  init: Callable, frozen: Any, sharding: Callable, replicated: NamedSharding
) -> tuple[tuple[State, Any], dict[str, Any]]:
  """The shardings of state and frozen variables, and the fields of a Runner that use them."""
  trees = jax.eval_shape(init, jax.ShapeDtypeStruct((2,), np.uint32)), frozen
  shardings = sharding(trees[0]), sharding(trees[1])
  abstract, abstract_frozen = jax.tree.map(
    lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), trees, shardings
  )
  # `init` runs once; on CPU, XLA's optimisation of it would take longer than the run.
  cpu = jax.default_backend() == 'cpu'
  options = {'xla_backend_optimization_level': 0} if cpu else None
  return shardings, {
    'init': jax.jit(init, out_shardings=shardings[0], compiler_options=options),
    'abstract': abstract,
    'frozen': abstract_frozen,
    'replicate': jax.jit(lambda tree: tree, out_shardings=replicated),
    'put_frozen': lambda frozen: jax.tree.map(_from_host, frozen, shardings[1]),
  }


def state_shardings(abstract: State, layouts: Sequence, mesh: Mesh, *, min_size: int = 1) -> State:
  """The sharding of every leaf, by the first (regex, 'fsdp' or 'replicated') that matches its path.

  Arrays with fewer elements than `min_size` are replicated: splitting them saves nothing. Raises
  ConfigError if no rule matches a path.
  """

  def sharding(layout: str, leaf: jax.ShapeDtypeStruct) -> NamedSharding:
    splits = layout == 'fsdp' and math.prod(leaf.shape) >= min_size
    spec = _fsdp_spec(leaf.shape, mesh.shape[_FSDP]) if splits else P()
    return NamedSharding(mesh, spec)

  return jax.tree.map(sharding, rules.match(layouts, abstract), abstract)


def _fsdp_spec(shape: tuple[int, ...], size: int) -> P:
  """Splits the longest axis that `size` divides; replicates the array if there is none."""
  axes = [i for i, length in enumerate(shape) if length % size == 0 and length >= size]
  if size == 1 or not axes:
    return P()
  longest = max(axes, key=lambda i: shape[i])
  return P(*(_FSDP if i == longest else None for i in range(len(shape))))


def _replicated(tree: Any, mesh: Mesh) -> Any:
  return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, P()))


def _from_host(x: Any, sharding: NamedSharding) -> jax.Array:
  """A global array from the same host array on every process."""
  x = np.asarray(x)
  return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])
