"""Which tiles lie side by side, and which show the same. Imports data, runtime."""
