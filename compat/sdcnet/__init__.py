"""The sdcnet branch of NVIDIA's code."""
