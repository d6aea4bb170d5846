"""One program per rule of the Snakefile: parse arguments, read, call salt/ once, write, log a summary line."""
