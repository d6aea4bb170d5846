"""From probabilities to the masks that are submitted. Imports data, runtime."""
