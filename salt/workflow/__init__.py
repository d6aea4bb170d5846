"""What the Snakefile asks: the DAG, its cost, what would stop it, recipes. Imports every package."""
