"""The HRNet family: HRNet, with OCR, with offset vectors."""
