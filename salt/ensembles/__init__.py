"""Combines predictions: blends them, and makes pseudo-labels from them. Imports data, runtime."""
