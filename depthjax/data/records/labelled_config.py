"""Records of images with labels: the fields of `data.labelled`."""

import dataclasses

from depthjax.data.bounds import bounded, check_fields


@dataclasses.dataclass(frozen=True)
class LabelledConfig:
  """How images and labels are brought to the size of the frame.

  Raises ValueError: a field is out of bounds.
  """

  # 'crop' (of DPT) resizes, sides at least those of the frame, and crops a part at random; 'square'
  # (of MiDaS) extends the image by its reflection to a square, and resizes that.
  rule: str = 'crop'
  multiple: int = bounded(32, 1, 128)  # Sides before the crop are multiples of it.
  augment: bool = True  # Flips, random crops and changes of colour, in training only.
  colours: int = bounded(0, 0, 64)  # Colours that ToM is painted with, for labels='virtual'.
  labels: str = 'labels'  # Name of the folder of labels; '' reads none.
  masks: str = 'masks'  # Likewise of masks; beside image/ it is mask/. Labels need none.

  def __post_init__(self):
    check_fields(self)
    if self.rule not in ('crop', 'square'):
      raise ValueError(f'rule is {self.rule!r}; it can be crop or square')
