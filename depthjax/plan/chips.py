"""Published peak rates of accelerator chips.

Sources, as of 2026:
  TPUs: docs.cloud.google.com/tpu/docs/v4, /v5e, /v5p, /v6e (key chip specifications).
  Clocks: peak FLOP/s over 2 x the multipliers of a chip (v4, v5p: 8 arrays of 128 x 128; v5e: 4).
  Vector units: "How to Scale Your Model", jax-ml.github.io/scaling-book/tpus: 8 x 128 lanes of
    four ALUs a core.
  GPUs: NVIDIA's datasheets (SXM) of A100 80GB (2021), H100 (2023) and H200 (2024), without
    sparsity; 400 Gbit/s a GPU between nodes, as in NVIDIA's own systems (DGX A100: 200).
"""

from typing import NamedTuple


class Chip(NamedTuple):
  """One device of a topology; its links connect it to its slice (ICI) or its node (NVLink)."""

  name: str  # Such as 'TPU v5e'.
  platform: str  # 'tpu' or 'gpu'.
  hbm: float  # Bytes of memory.
  usable: float  # Fraction of the memory that JAX gives to programs.
  bandwidth: float  # Bytes/s to and from memory.
  matrix: dict[str, float]  # FLOP/s of 'bfloat16' products, and of 'float32' by default precision.
  vector: float | None  # FLOP/s of other float32 operations, None where not published.
  links: float  # Bytes/s in one direction, half of the published bidirectional rate.
  network: float  # Bytes/s to another slice or node.
  clock: float | None  # Cycles/s, None where not published.
  axes: int  # Dimensions of a slice's shape: two or three for a TPU, one for GPUs.


def _tpu(name, hbm, bandwidth, peak, *, links, network, axes, cores=1, clock=None) -> Chip:
  """A TPU multiplies float32 in one pass of bfloat16 by default, so both have the same peak."""
  return Chip(
    name=name,
    platform='tpu',
    hbm=hbm * 2**30,
    usable=1.0,  # The compiler itself reserves memory, and refuses a program that is too large.
    bandwidth=bandwidth * 1e9,
    matrix={'bfloat16': peak * 1e12, 'float32': peak * 1e12},
    vector=clock and cores * 8 * 128 * 4 * clock * 1e9,
    links=links / 2 * 1e9,
    network=network / 8 * 1e9,
    clock=clock and clock * 1e9,
    axes=axes,
  )


def _gpu(name, hbm, bandwidth, bfloat16, tf32, vector, *, links, network) -> Chip:
  return Chip(
    name=name,
    platform='gpu',
    hbm=hbm * 1e9,
    usable=0.75,  # JAX's default; XLA_PYTHON_CLIENT_MEM_FRACTION changes it.
    bandwidth=bandwidth * 1e9,
    matrix={'bfloat16': bfloat16 * 1e12, 'float32': tf32 * 1e12},
    vector=vector * 1e12,
    links=links / 2 * 1e9,
    network=network / 8 * 1e9,
    clock=None,
    axes=1,
  )


# Memory in GiB (TPU) or GB (GPU) and GB/s; TFLOP/s; bidirectional links in GB/s; network in Gbit/s;
# clocks in GHz.
CHIPS = {
  'v4': _tpu('TPU v4', 32, 1228, 275, links=600, network=25, axes=3, cores=2, clock=1.05),
  'v5e': _tpu('TPU v5e', 16, 819, 197, links=400, network=25, axes=2, clock=1.5),
  'v5p': _tpu('TPU v5p', 95, 2765, 459, links=1200, network=50, axes=3, cores=2, clock=1.75),
  'v6e': _tpu('TPU v6e', 32, 1638, 918, links=800, network=100, axes=2),
  'a100': _gpu('NVIDIA A100 80GB', 80, 2039, 312, 156, 19.5, links=600, network=200),
  'h100': _gpu('NVIDIA H100', 80, 3350, 989, 494.5, 67, links=900, network=400),
  'h200': _gpu('NVIDIA H200', 141, 4800, 989, 494.5, 67, links=900, network=400),
}
