"""Converts datasets that were downloaded by hand to TFDS datasets for training; offline.

A reader (in `bokeh`, `cutouts`, `nyuv2`, `middlebury`, `stereo_sets`, `measured`, `rendered`) finds
the records of a dataset in its published layout and loads them on demand, ordered by name. It
raises InputError if the folder does not exist, lacks a documented folder or file, or has no record.
`catalogue` lists the readers; `writing` writes array_record shards without TensorFlow.

Glossary: `h w` height and width. Images are uint8 sRGB [h w 3]; mattes and masks uint8 [h w 1] with
255 for the foreground; disparity float32 [h w 1], near is large, 0 where `valid` is 0.
"""
