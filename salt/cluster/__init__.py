"""Runs on a cluster: claims of their jobs, and jobs that a killed run leaves in a queue. Imports workflow."""
