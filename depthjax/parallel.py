"""Where arrays live and steps run: mesh, layouts of the state, and the jit and pmap runners.

The mesh has two axes: over `data` and `fsdp` together the batch is split, over `fsdp` alone also
the parameters whose rule says so. This is the only file that names them. A step sees none of it:
`Runner` takes pure functions of (state, frozen, batch) and returns them compiled.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
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
  """Pure functions of a state, frozen networks and a batch, compiled for the devices at hand.

  Fields:
    init: key data -> state, laid out by the rules.
    abstract: the state's shapes, types and shardings, for restoring it from a checkpoint.
    frozen: the same of the frozen networks' variables, which are laid out by the same rules.
    step: (state, frozen, batch) -> (state, scalars). The state given is used up.
    read: a function (state, frozen, batch) -> arrays of leading size b, to the same one compiled,
      its results replicated.
    whole: a tree of arrays -> the same arrays, whole on every device.
    put: this process's part of a batch on the host -> the batch on the devices.
    put_frozen: the frozen networks' variables on the host -> those on the devices.
  """

  init: Callable[[jax.Array], State]
  abstract: State
  frozen: Any
  step: Callable[[State, Any, Batch], tuple[State, dict[str, jax.Array]]]
  read: Callable[[Callable], Callable[[State, Any, Batch], Any]]
  whole: Callable[[Any], Any]
  put: Callable[[Batch], Batch]
  put_frozen: Callable[[Any], Any]


def make_mesh(fsdp: int = 1, devices: Sequence[jax.Device] | None = None) -> Mesh:
  """All devices as (data, fsdp). Auto axes: linen's layers know nothing of Explicit ones.

  Devices of several TPU slices make a hybrid mesh: `fsdp` stays within a slice, where its gathers
  go over the chips' own links, and the slow network between slices sees the gradients alone.

  Raises:
    ConfigError: `fsdp` does not divide the chips of a slice.
  """
  devices = list(jax.devices() if devices is None else devices)
  slices = len({getattr(device, 'slice_index', None) for device in devices})
  each = len(devices) // slices
  if slices == 1:
    shape = (each // fsdp, fsdp)
    return jax.make_mesh(shape, (_DATA, _FSDP), (AxisType.Auto,) * 2, devices=devices)
  if slices * each != len(devices) or len({_slice_size(devices, d) for d in devices}) > 1:
    raise ConfigError('parallel.devices takes parts of slices; 0 takes all')
  if each % fsdp:
    raise ConfigError(f'parallel.fsdp is {fsdp}; it must divide the {each} chips of a slice')
  grid = mesh_utils.create_hybrid_device_mesh((each // fsdp, fsdp), (slices, 1), devices)
  return Mesh(grid, (_DATA, _FSDP), axis_types=(AxisType.Auto,) * 2)


def _slice_size(devices: Sequence[jax.Device], device: jax.Device) -> int:
  return sum(other.slice_index == device.slice_index for other in devices)


def axis_name(mode: str) -> str | None:
  """The mapped axis that batch statistics are averaged over: pmap's; under jit there is none."""
  return _PMAP if mode == 'pmap' else None


def map_examples(mode: str, mesh: Mesh) -> Callable[[Callable], Callable]:
  """A transformation that runs a function of one example over a batch, on the example's device.

  Unlike vmap it leaves `dynamic_slice` with starts of the example's own a slice (vmap makes it a
  gather), and only one example's intermediates are alive on a device at a time.
  """

  def over(function: Callable) -> Callable:
    mapped = functools.partial(jax.lax.map, function)
    if mode == 'pmap':
      return mapped
    return jax.shard_map(mapped, mesh=mesh, in_specs=_BATCH, out_specs=_BATCH, check_vma=False)

  return over


def averaged(gradients: Callable, mode: str) -> Callable:
  """The gradient function with its results averaged over the devices of a pmap.

  Under jit the batch is one array and its mean is over all devices already.
  """
  if mode != 'pmap':
    return gradients
  return lambda *arguments: jax.lax.pmean(gradients(*arguments), _PMAP)


def gathered(gradients: Callable, mode: str, mesh: Mesh) -> Callable:
  """The gradient function with the parameters that it is given whole on every device.

  Frozen networks likewise. So each is gathered once a step, as it is used, and its gradient is
  summed as one array. Left to itself the compiler splits convolutions by the channels that a
  parameter is split along, and sends activations about instead.
  """
  if mode == 'pmap':
    return gradients

  def of_whole(state: State, frozen: Any, batch: Batch) -> Any:
    params, frozen = _whole((state.params, frozen), mesh)
    return gradients(state.replace(params=params), frozen, batch)

  return of_whole


def jit_runner(
  init: Callable,
  step: Callable,
  mesh: Mesh,
  layouts: Sequence,
  *,
  min_size: int = 1,
  frozen: Any = None,
) -> Runner:
  """The runner for jit with NamedSharding: the default, on any number of processes.

  Args:
    layouts, min_size: as in `state_shardings`.
    frozen: variables of frozen networks, or their shapes.
  """
  whole = NamedSharding(mesh, P())
  split = NamedSharding(mesh, _BATCH)
  abstract, frozen = jax.eval_shape(init, _key_spec()), frozen or {}
  shardings = state_shardings(abstract, layouts, mesh, min_size=min_size)
  of_frozen = state_shardings(frozen, layouts, mesh, min_size=min_size)
  layout = (shardings, of_frozen, split)

  def read(function: Callable) -> Callable:
    of_whole = lambda state, frozen, batch: function(*_whole((state, frozen), mesh), batch)  # noqa: E731
    return jax.jit(of_whole, in_shardings=layout, out_shardings=whole)

  return Runner(
    init=_compiled_init(init, shardings),
    abstract=_with_shardings(abstract, shardings),
    frozen=_with_shardings(frozen, of_frozen),
    # Without out_shardings the compiler is free to move the state, and does, step by step.
    step=jax.jit(step, in_shardings=layout, out_shardings=(shardings, whole), donate_argnums=0),
    read=read,
    whole=jax.jit(_same, out_shardings=whole),
    put=lambda batch: jax.tree.map(
      lambda x: jax.make_array_from_process_local_data(split, np.asarray(x)), batch
    ),
    put_frozen=lambda frozen: jax.tree.map(_from_host, frozen, of_frozen),
  )


def pmap_runner(init: Callable, step: Callable, mesh: Mesh, *, frozen: Any = None) -> Runner:
  """The same functions under jax.pmap: state and frozen networks replicated, the batch split."""
  devices = list(mesh.devices.flat)
  count = len(devices)
  whole = NamedSharding(mesh, P())
  abstract, frozen = jax.eval_shape(init, _key_spec()), frozen or {}
  shardings, of_frozen = jax.tree.map(lambda _: whole, (abstract, frozen))
  pmap = functools.partial(jax.pmap, axis_name=_PMAP, devices=devices)

  split = NamedSharding(Mesh(np.array(devices), (_PMAP,)), P(_PMAP))

  def put(batch: Batch) -> Batch:
    parts = jax.tree.map(lambda x: np.reshape(x, (count, -1, *np.shape(x)[1:])), batch)
    return jax.device_put(parts, split)

  def read(function: Callable) -> Callable:
    mapped = pmap(function, in_axes=(None, None, 0))

    def joined(*arguments: Any) -> Any:
      return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), mapped(*arguments))

    return joined

  return Runner(
    init=_compiled_init(init, shardings),
    abstract=_with_shardings(abstract, shardings),
    frozen=_with_shardings(frozen, of_frozen),
    step=pmap(step, in_axes=(None, None, 0), out_axes=(None, None)),
    read=read,
    whole=jax.jit(_same, out_shardings=whole),
    put=put,
    put_frozen=lambda frozen: jax.tree.map(_from_host, frozen, of_frozen),
  )


def state_shardings(abstract: State, layouts: Sequence, mesh: Mesh, *, min_size: int = 1) -> State:
  """The sharding of every leaf by the first rule that matches its path.

  Args:
    min_size: arrays of fewer elements stay whole: sending parts of them about saves nothing.

  Raises:
    ConfigError: no rule matches a path, or a rule's layout is not 'fsdp' or 'replicated'.
  """

  def sharding(layout: str, leaf: jax.ShapeDtypeStruct) -> NamedSharding:
    if layout not in ('fsdp', 'replicated'):
      raise ConfigError(f"a layout is 'fsdp' or 'replicated', not {layout!r}")
    splits = layout == 'fsdp' and math.prod(leaf.shape) >= min_size
    spec = _fsdp_spec(leaf.shape, mesh.shape[_FSDP]) if splits else P()
    return NamedSharding(mesh, spec)

  return jax.tree.map(sharding, rules.match(layouts, abstract), abstract)


def _fsdp_spec(shape: tuple[int, ...], size: int) -> P:
  """Splits the longest axis that `size` divides; small or odd arrays stay whole."""
  axes = [i for i, length in enumerate(shape) if length % size == 0 and length >= size]
  if size == 1 or not axes:
    return P()
  longest = max(axes, key=lambda i: shape[i])
  return P(*(_FSDP if i == longest else None for i in range(len(shape))))


def _compiled_init(init: Callable, shardings: State) -> Callable:
  """Runs once: on a CPU optimising hundreds of small random draws takes longer than all of them."""
  cpu = jax.default_backend() == 'cpu'
  options = {'xla_backend_optimization_level': 0} if cpu else None
  return jax.jit(init, out_shardings=shardings, compiler_options=options)


def _with_shardings(abstract: State, shardings: State) -> State:
  return jax.tree.map(
    lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), abstract, shardings
  )


def _whole(tree: Any, mesh: Mesh) -> Any:
  return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, P()))


def _from_host(x: Any, sharding: NamedSharding) -> jax.Array:
  """An array that every process has, laid out over the devices of all."""
  x = np.asarray(x)
  return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])


def _same(tree: Any) -> Any:
  return tree


def _key_spec() -> jax.ShapeDtypeStruct:
  return jax.ShapeDtypeStruct((2,), np.uint32)
