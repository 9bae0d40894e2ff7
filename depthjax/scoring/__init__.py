"""Renderers and depth predictors scored on records of prepared datasets."""
