"""Option files, checkpoints and evaluation rules of the HRNet family: HRNet, with OCR, with offset vectors."""
