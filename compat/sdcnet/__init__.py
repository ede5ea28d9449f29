"""Evaluation rules and folders of the sdcnet branch of NVIDIA's code."""
