"""A finished run in one file for other machines and people: written, described, predicted with; networks as ONNX.

Imports workflow, report, scores, inference, postprocess, intake, data, runtime.
"""
