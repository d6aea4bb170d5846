"""The report's pages: what they show, how it is drawn. Imports scores, postprocess, training, mosaics, data."""
