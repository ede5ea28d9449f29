"""Checkpoints and evaluation rule of NVIDIA's semantic-segmentation code (hierarchical multi-scale attention)."""
