"""Describe pictures and show them in one static page, no server, no network.

python examples/gallery.py OUT PICTURE...
"""

from __future__ import annotations

import sys
from pathlib import Path

import kosmoscope
from kosmoscope.gallery import build_gallery


def main() -> None:
    out, pictures = Path(sys.argv[1]), sys.argv[2:]
    scope = kosmoscope.load("pocket")
    descriptions = []
    for path in pictures:
        picture = scope.encode(path)  # looked at once, asked twice
        descriptions += [scope.describe(picture), scope.describe(picture, "detailed")]
        print(descriptions[-2], end="\n\n")
    page = build_gallery(descriptions, out, title="Sample photos, described by pocket")
    print(f"gallery: {page.resolve().as_uri()}")


if __name__ == "__main__":
    main()
