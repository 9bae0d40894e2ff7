"""The value of a metric for each example of a batch, with its weight in means."""

from typing import NamedTuple

import jax


class Weighted(NamedTuple):
  """A metric of a batch: values [b] and their weights [b] in the mean over examples.

  Weight 0: the metric is undefined for the example, such as an error at edges without edges, and
  the value is arbitrary. NaN with a weight above 0 is an error of the network, and stays in the
  mean.
  """

  value: jax.Array
  weight: jax.Array
