"""Makes the submitted masks from probabilities. Imports data, runtime."""
