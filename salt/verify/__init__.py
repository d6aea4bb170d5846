"""Compares the files of a run with its records, and repairs it. Imports workflow, data, runtime."""
