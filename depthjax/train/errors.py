"""Exceptions that end a training run early, after its state is saved."""


class NotFinite(RuntimeError):
  """A loss or gradient was NaN or infinite; the last finite state is saved."""


class Terminated(RuntimeError):
  """The run was stopped by SIGTERM; its state is saved."""
