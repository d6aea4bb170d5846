"""Tiles, masks and predictions in files and in memory: what every step reads and writes. Imports runtime."""
