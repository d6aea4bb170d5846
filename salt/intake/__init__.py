"""From users' files to tiles: layouts, formats, tables, and the checks of all three. Imports data, runtime."""
