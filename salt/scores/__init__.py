"""The competition's metric, and the scores of masks that are submitted. Imports postprocess, mosaics, data."""
