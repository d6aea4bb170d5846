"""Trains networks: the loop, its batches, schedules, checkpoints. Imports inference, scores, data, runtime."""
