"""How programs run: atomic files, progress, signals, provenance, devices, timings. Imports only schemas."""
