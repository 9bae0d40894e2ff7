"""The folder of a run."""

import os
import pathlib
import re

from depthjax.files.errors import InputError


def resolve(workdir: str | os.PathLike) -> pathlib.Path:
  """The absolute path of a run's folder, which need not exist; '~' is the home folder.

  Raises InputError: a URL, since locks, atomic renames and appended logs need a file system; a
  file; or a path that the system refuses.
  """
  if re.match(r'[A-Za-z][\w+.-]*:/', os.fspath(workdir)):  # A Path has one '/' left of two.
    right = 'a folder, such as a bucket mounted by gcsfuse (docs/scale.md)'
    raise InputError(workdir, 'is a URL', right)
  try:
    path = pathlib.Path(workdir).expanduser().absolute()
    if not path.exists() or path.is_dir():
      return path
  except (OSError, RuntimeError) as error:  # The latter: there is no such user.
    wrong = f'cannot be used ({getattr(error, "strerror", error)})'
    raise InputError(workdir, wrong, 'a folder or a new name') from error
  raise InputError(path, 'is not a folder', 'a folder or a new name')
