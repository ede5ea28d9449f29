"""What each --arch is made of, as plain data: from it follows which options a network reads. Imports no torch."""

from __future__ import annotations

from typing import NamedTuple


class Arch(NamedTuple):
    """A trunk, a head, and how scales are combined: not at all, or one of SCALES. `offsets`: with offset vectors."""

    trunk: str
    head: str
    scales: str = ""
    offsets: bool = False


# How several scales become one: attention of each scale over the larger ones; with pyramids blended, too; attention
# from the features of two scales; weights of all scales at once; the same in pairs.
SCALES = ("hierarchical", "fused", "paired", "all", "pairs")
ATROUS = ("aspp", "ocr_aspp", "deeplab", "deeplab_plus", "deeper")  # heads with an ASPP
OCR = ("ocr", "ocr_aspp", "offset_ocr")
PLAIN = ("plain", "aspp", "deeplab", "deeplab_plus", "deeper")  # heads whose width can be chosen
ANY = "chosen by its own options"

ARCHS: dict[str, Arch] = {
    "attnscale.DeepV3R50": Arch("resnet50", "deeplab_plus", "all"),
    "attnscale.DeepV3R50B": Arch("resnet50", "deeplab_plus", "all"),
    "attnscale.DeepV3R50BP": Arch("resnet50", "deeplab_plus", "pairs"),
    "attnscale.DeepV3W38": Arch("wide_resnet38", "deeplab_plus", "all"),
    "basic.HRNet": Arch("hrnet", "plain"),
    "basic.HRNet_ASP": Arch("hrnet", "aspp"),
    "deeper.DeeperW38": Arch("wide_resnet38", "deeper"),
    "deeper.DeeperX71": Arch("xception71", "deeper"),
    "deepv3.DeepR50V3PlusD_m1": Arch("resnet50", "deeplab_plus"),
    "deepv3.DeepSRNX50V3PlusD_m1": Arch("se_resnext50", "deeplab_plus"),
    "deepv3.DeepSRNX101V3PlusD_m1": Arch("se_resnext101", "deeplab_plus"),
    "deepv3.DeepWV3Plus": Arch("wide_resnet38", "deeplab_plus"),
    "deepv3.DeepV3PlusR50": Arch("resnet50", "deeplab_plus"),
    "deepv3.DeepV3PlusSRNX50": Arch("se_resnext50", "deeplab_plus"),
    "deepv3.DeepV3PlusSRNX101": Arch("se_resnext101", "deeplab_plus"),
    "deepv3.DeepV3PlusW38": Arch("wide_resnet38", "deeplab_plus"),
    "deepv3.DeepV3PlusW38I": Arch("wide_resnet38", "deeplab_plus"),
    "deepv3.DeepV3PlusX71": Arch("xception71", "deeplab_plus"),
    "deepv3.DeepV3R50": Arch("resnet50", "deeplab"),
    "encoder_decoder": Arch(ANY, ANY),
    "mscale.DeepV3R50": Arch("resnet50", "deeplab_plus", "hierarchical"),
    "mscale.DeepV3W38": Arch("wide_resnet38", "deeplab_plus", "hierarchical"),
    "mscale.DeepV3W38Fuse": Arch("wide_resnet38", "deeplab_plus", "fused"),
    "mscale.DeepV3W38Fuse2": Arch("wide_resnet38", "deeplab_plus", "fused"),
    "mscale.DeepV3X71": Arch("xception71", "deeplab_plus", "hierarchical"),
    "mscale.DeeperW38": Arch("wide_resnet38", "deeper", "hierarchical"),
    "mscale.DeeperX71": Arch("xception71", "deeper", "hierarchical"),
    "mscale.HRNet": Arch("hrnet", "plain", "hierarchical"),
    "mscale.HRNet_ASP": Arch("hrnet", "aspp", "hierarchical"),
    "mscale2.DeepV3R50": Arch("resnet50", "deeplab_plus", "paired"),
    "ocrnet.HRNet": Arch("hrnet", "ocr"),
    "ocrnet.HRNet_Mscale": Arch("hrnet", "ocr", "hierarchical"),
    "ocrnet.OCRNetASPP": Arch("hrnet", "ocr_aspp"),
    "offset.DeepV3PlusR50": Arch("resnet50", "deeplab_plus", offsets=True),
    "offset.DeepV3PlusSRNX50": Arch("se_resnext50", "deeplab_plus", offsets=True),
    "offset.DeepV3PlusSRNX101": Arch("se_resnext101", "deeplab_plus", offsets=True),
    "offset.DeepV3PlusW38": Arch("wide_resnet38", "deeplab_plus", offsets=True),
    "offset.DeepV3PlusW38_Mscale": Arch("wide_resnet38", "deeplab_plus", "hierarchical", offsets=True),
    "offset.DeepV3PlusX71": Arch("xception71", "deeplab_plus", offsets=True),
    "offset.HRNet": Arch("hrnet", "pointwise", offsets=True),
    "offset.HRNet_Mscale": Arch("hrnet", "pointwise", "hierarchical", offsets=True),
    "offset.HRNet_OCR": Arch("hrnet", "offset_ocr", offsets=True),
    "offset.HRNet_OCR_Mscale": Arch("hrnet", "offset_ocr", "hierarchical", offsets=True),
    "offset.encoder_decoder": Arch(ANY, ANY, offsets=True),
    "seg_hrnet.HRNet": Arch("hrnet", "pointwise"),
}
