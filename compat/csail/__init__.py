"""Option files, checkpoints, evaluation rules and folders of CSAIL's semantic segmentation of ADE20K."""
