"""The report's pages: their content, and how it is rendered.

Imports scores, postprocess, ensembles, training, mosaics, drawing, data, runtime.
"""
