"""Runs on a cluster: claims of their jobs, and what a killed run leaves there. Imports workflow, runtime."""
