"""From tiles and weights to probabilities, of the run's tiles and of other images.

Imports intake, postprocess, data, runtime.
"""
