"""What a training shows while it goes: curves and sample masks, for TensorBoard. Imports inference, data, runtime."""
