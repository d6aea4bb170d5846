"""What predictions make together: blends, and pseudo-labels from them. Imports data, runtime."""
