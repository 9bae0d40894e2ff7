"""The published depth predictors that have a name: what they are, and where their weights are."""

from collections.abc import Mapping
from typing import Any, NamedTuple

DEFAULT = 'depth-anything-v2-small'


class Entry(NamedTuple):
  """A published predictor, as in CATALOGUE."""

  model: Mapping[str, Any]  # Fields of a config's `model`, see published.from_config.
  parameters: int  # Of the checkpoint.
  repository: str = ''  # On the Hugging Face Hub; '' if its weights must be brought as a file.
  revision: str = ''  # Commit of the repository.
  sha256: str = ''  # Of model.safetensors.
  size: int = 0  # Of model.safetensors in bytes.
  url: str = ''  # Page with the weights, for people.
  code: str = 'Apache-2.0'  # Licence of the authors' code.
  weights: str = 'Apache-2.0'  # Licence of the weights.
  commercial: bool = True  # Whether the licence of the weights allows commercial use.


_SMALL = {'network': 'depth_anything', 'size': 'small', 'version': 2, 'max_depth': 0.0}

CATALOGUE: Mapping[str, Entry] = {
  DEFAULT: Entry(_SMALL, 24_785_089, 'depth-anything/Depth-Anything-V2-Small-hf'),
}
