"""Neighbouring tiles, duplicates, and the mosaics that they form. Imports data, runtime."""
