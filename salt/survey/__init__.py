"""The synthetic survey: rocks, their seismic image, tiles cut from it. Imports data, runtime."""
