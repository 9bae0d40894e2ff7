"""Drawn layered scenes and their batches: NumPy, OpenCV and grain on the host, never a device.

Axis letters: b batch, l layers (near first), h w frame, p padding (a padded canvas is
[h+2p w+2p]), c channels. Images are uint8 sRGB; alpha is straight, never premultiplied.
"""

import logging

import cv2

# Scenes are drawn by grain's threads or worker processes, one scene each. OpenCV's own thread pool
# would fight them for the same cores, and it deadlocks in forked children.
cv2.setNumThreads(0)

# The commands silence the root logger, for Orbax has a word for every save; what is skipped here,
# or copied, is said all the same.
logging.getLogger(__name__).setLevel(logging.WARNING)
