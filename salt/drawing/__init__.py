"""Charts, and pictures of tiles and mosaics, for the report. Imports data."""
