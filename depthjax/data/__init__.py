"""Layered scenes and their batches, drawn on the host by NumPy, OpenCV and grain.

Axis letters: b batch, l layers (near first), h w frame, p padding (a padded canvas is
[h+2p w+2p]), c channels. Images are uint8 sRGB; alpha is straight, never premultiplied.
"""
