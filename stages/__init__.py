"""One program a rule of the Snakefile: parse arguments, read, one call into salt/, write, log a summary line."""
