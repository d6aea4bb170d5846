"""The synthetic survey: geology, its seismic image, tiles cut from it. Imports data, runtime."""
