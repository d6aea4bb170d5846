"""How programs run: files that appear whole, progress, signals, provenance, the machine. Imports schemas alone."""
