"""PaddleSeg's CityscapesSOTA."""
