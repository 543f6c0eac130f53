"""A checkpoint of Kosmos-2's real size with random weights, and a picture.

Speed and memory do not depend on the weights' values. Needs the dev dependencies and 7 GB of disk:

    python benchmarks/full_size.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

PHOTO = Path(__file__).parent.parent / "examples" / "photos" / "china.jpg"
PROMPT = "<grounding> An image of"


def photo() -> Image.Image:
    """Return the picture that everything is measured on."""
    return Image.open(PHOTO).convert("RGB")


def ensure(folder: Path) -> Path:
    """Make the checkpoint in `folder` unless it is there; return its folder."""
    source = folder / "source"
    if not (source / "preprocessor_config.json").exists():
        import checkpoints

        shape = checkpoints.Shape(
            "full", text=(2048, 24, 8192, 32), vision=(1024, 24, 4096, 16), image=(224, 14),
            latents=64, pieces=63_997,
        )  # fmt: skip
        source.mkdir(parents=True, exist_ok=True)
        checkpoints.make(source, shape)
    return source


if __name__ == "__main__":
    print(ensure(Path(sys.argv[1])))
