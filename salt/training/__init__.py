"""Trains networks: the loop, its batches, schedules, checkpoints. Imports curves, inference, scores, data, runtime."""
