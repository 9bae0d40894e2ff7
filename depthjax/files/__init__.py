"""Readers and writers: every file is checked here, at the edge, and nowhere else.

Bad input raises `errors.InputError`, one line that names the file, what was wrong and what would
be right. Output is written under a temporary name in the same folder and renamed, so that a file
is either complete or not there.

Glossary: `h w` height and width, `c` channels. Images are float32 sRGB in [0, 1]; disparity: near
is large; depth: far is large.
"""
