"""The competition's metric, and the scores of masks as submitted. Imports postprocess, mosaics, data."""
