"""Pictures as eval.py of NVIDIA's sdcnet branch writes them: --dump_images."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from evaluation.sinks.base import ALONE, EvalItem, Results
from evaluation.sinks.folder import PictureFolder
from utils.contracts import DatasetSpec, id_table
from utils.distributed import DistributedContext
from utils.visualize import colorize, encode_indexed, encode_png, file_stem, to_array, wrong_pixels

WHITE = 255


class Folders(PictureFolder):
    """Writes, of every image, four PNG of its size:

    `rgb/<name>_color.png`: train ids with the dataset's palette; `pred/<name>.png`: gray, the dataset's own ids;
    `compose/<name>_compose.png`: RGBA, half image, half class colors; of a labeled image `diff/<name>_diff.png`: that
    blend where the prediction is wrong, white where it is right or the truth is ignored.
    """

    def __init__(self, run_dir: Path, spec: DatasetSpec) -> None:
        super().__init__(run_dir)
        self.spec = spec
        self._ids = id_table(spec)
        self._colors = colorize(np.arange(256, dtype=np.uint8), spec.palette)
        self._compared = 0

    def files(self, item: EvalItem) -> dict[str, bytes]:
        """Make the pictures of one image."""
        name, classes = file_stem(item.name), to_array(item.prediction.classes)
        blend = self._blend(item.image, classes)
        files = {
            f"rgb/{name}_color.png": encode_indexed(classes, self._colors),
            f"pred/{name}.png": encode_png(self._ids[classes]),
            f"compose/{name}_compose.png": _png(blend),
        }
        if item.label is not None:
            wrong = wrong_pixels(classes, item.label, self.spec.ignore_label)  # (H, W)
            diff = np.where(wrong[..., None], np.asarray(blend)[..., :3], np.uint8(WHITE))  # (H, W, 3)
            files[f"diff/{name}_diff.png"] = encode_png(diff)
            self._compared += 1
        return files

    def _blend(self, image: np.ndarray, classes: np.ndarray) -> Image.Image:
        colors = Image.fromarray(colorize(classes, self.spec.palette))
        return Image.blend(Image.fromarray(image).convert("RGBA"), colors.convert("RGBA"), 0.5)

    def results(self, ranks: DistributedContext = ALONE) -> Results:
        """Say how many, and that there is no diff where no image has a label."""
        folders = "rgb, pred, compose and diff" if sum(ranks.gather(self._compared)) else "rgb, pred and compose"
        return Results([f"{self.written(ranks)} in {folders} of {self.folder}"])


def _png(picture: Image.Image) -> bytes:
    data = io.BytesIO()
    picture.save(data, "PNG", compress_level=1)
    return data.getvalue()


# The option of EVAL that asks for it: (run folder, classes) -> sink.
FOLDERS = {"DUMP_IMAGES": Folders}
