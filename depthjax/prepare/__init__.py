"""The papers' datasets, downloaded by hand, to one prepared form; offline.

A reader (in `bokeh`, `cutouts`, `nyuv2`, `middlebury`, `stereo_sets`, `measured`, `rendered`) finds
the records of a dataset as it is distributed, many of them by what files are called (`layouts`),
and gives them lazily in the order of their names. `catalogue` lists the readers, `writing` makes
the prepared form: a TFDS dataset in array_record shards, written without TensorFlow.

Glossary: `h w` height and width. Pictures are uint8 sRGB [h w 3]; mattes and masks uint8 [h w 1],
255 the foreground; disparity float32 [h w 1], near is large, 0 where `valid` is 0.
"""
