"""Predicts probabilities from weights: of the run's tiles and of other images.

Imports intake, postprocess, data, runtime.
"""
