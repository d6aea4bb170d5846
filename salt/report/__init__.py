"""The report's pages: their content and drawings.

Imports scores, postprocess, ensembles, training, mosaics, data, runtime.
"""
