"""Published tables again: the experiments behind them, ours beside the paper's numbers."""
