"""The report's pages: their content and drawings.

Imports scores, postprocess, training, mosaics, data, runtime.
"""
