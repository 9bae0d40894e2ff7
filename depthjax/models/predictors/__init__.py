"""Depth predictors: one contract for all, and which runs and names give one."""
