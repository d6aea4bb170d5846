"""The report's pages: what they show and how it is drawn.

Imports scores, postprocess, training, mosaics, data, runtime.
"""
