"""Option files, checkpoints, evaluation rules and folders of PaddleSeg's CityscapesSOTA."""
