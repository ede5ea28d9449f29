"""CSAIL's semantic segmentation of ADE20K."""
