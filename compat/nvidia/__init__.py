"""NVIDIA's semantic-segmentation code (hierarchical multi-scale attention)."""
