"""From users' files to tiles: layouts, formats, tables, and all that may be wrong with them. Imports data, runtime."""
