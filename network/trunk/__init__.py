"""Trunks: image (N, 3, H, W) -> features by name, `out` being the ones that heads classify.

A trunk is a module with `out_channels` and `strides`, both by the features' names. Beside `out`, the trunks of
DeepLab give the earlier, larger `fine` and `middle`.
"""
