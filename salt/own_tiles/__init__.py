"""Recipes for own tiles: an inspection of their folder, settings fitted to it. Imports intake, data, runtime."""
