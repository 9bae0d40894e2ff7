"""Studies: the runs of a sweep, and the comparison of runs."""
