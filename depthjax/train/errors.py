"""What ends a training run early, its state saved."""


class NotFinite(RuntimeError):
  """A loss or gradient was NaN or infinite; the state before it is saved."""


class Terminated(RuntimeError):
  """The process was asked to stop (SIGTERM) and the state is saved."""
