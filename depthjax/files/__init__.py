"""Readers and writers. Each file is checked here, where it is read, and not again in other layers.

Bad input raises `errors.InputError`: one line with the file, what is wrong and what would be right.
Output is written to a temporary file in the same folder, then renamed, so that it is complete or
absent.

Glossary: `h w` height and width, `c` channels. Images are float32 sRGB in [0, 1]; disparity: near
is large; depth: far is large.
"""
