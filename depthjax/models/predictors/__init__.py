"""Depth predictors: one interface for all, and those that training runs produce."""
