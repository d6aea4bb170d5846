"""How programs run: atomic files, progress, signals, provenance, devices. Imports only schemas."""
