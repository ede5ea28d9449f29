"""Exporting a trained network: the command's work, the pictures that a file is compared on, and the gate."""
