"""The folder of a run."""

import os
import pathlib
import re

from depthjax.files.errors import InputError


def resolve(workdir: str | os.PathLike) -> pathlib.Path:
  """The absolute path of a run's folder, which need not exist; '~' is the home folder.

  Raises InputError: a URL, since locks, atomic renames and appended logs need a file system; or a
  file.
  """
  if re.match(r'[A-Za-z][\w+.-]*:/', os.fspath(workdir)):  # A Path has one '/' left of two.
    right = 'a folder, such as a bucket mounted by gcsfuse (docs/scale.md)'
    raise InputError(workdir, 'is a URL', right)
  path = pathlib.Path(workdir).expanduser().absolute()
  if path.exists() and not path.is_dir():
    raise InputError(path, 'is not a folder', 'a folder or a new name')
  return path
