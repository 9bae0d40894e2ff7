"""Training data: drawn layered scenes, sources and batches. NumPy, OpenCV and Grain, no devices.

Axes: b batch, l layers (near first), h w frame, p padding (a padded canvas is [h+2p w+2p]),
c channels. Images are uint8 sRGB; alpha is straight, never premultiplied.
"""

import logging

# The commands silence the root logger because of Orbax. Skipped and copied files are still logged.
logging.getLogger(__name__).setLevel(logging.WARNING)
