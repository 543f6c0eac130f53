"""A vision tower of two small convolutional networks: a detector and a classifier.

pixels (1, 3, H, W), the longer side S, both multiples of 32, ImageNet mean and deviation
  -> NanoDet at each of `looks` sizes -> votes
     -> `detections` tokens: shares of the classes, the box as waves
  -> squashed to T x T -> EfficientNet-Lite0: maps of stride 16 and 32, pooled features
     -> `regions` tokens: for each kind of stuff its area and box, from a coarse segmentation
     -> the main thing's box; cut out -> the classifier again
     -> two tokens of names: what the whole picture and the main thing may be called
     -> two tokens of the whole picture, (T / 32)^2 tokens of the grid
  -> encoder layers as in CLIP -> layer norm -> features (1, tokens, W), for Kosmos-2's resampler.

The networks are frozen teachers; what is learned begins at the projections.
"""

from __future__ import annotations

from kosmoscope.model.config import DetectorVisionConfig
from kosmoscope.model.detector.looks import Looks
from kosmoscope.model.detector.scenery import Scenery
from kosmoscope.model.detector.shapes import CLASSES, COARSE, Tensors
from kosmoscope.model.graph import GraphWriter
from kosmoscope.model.names import CANDIDATES

__all__ = ["Tower"]


class Tower:
    """Writes the two networks and the tokens' features into a graph."""

    def __init__(
        self, g: GraphWriter, v: DetectorVisionConfig, source: Tensors, prefix: str
    ) -> None:
        self.g, self.v, self.source, self.prefix = g, v, source, prefix
        self.looks = Looks(g, v, source, prefix)
        self.scenery = Scenery(g, v, source, prefix)
        self.scenery.scalars = self.looks.scalars  # each constant once

    def networks(self) -> dict[str, str]:
        """Write the frozen half.

        Returns:
            the values' names: "detection" (1, K, DETECTION_FEATURES), "region" (1, R,
            REGION_FEATURES), "name" (1, 2, ...), "whole" (1, 1280), "coarse" (1, 320, G, G).
        """
        looks, scenery = self.looks, self.scenery
        pixels = self.g.input("pixels", [1, 3, "height", "width"])
        sized = {side: looks.at(pixels, side) for side in self.v.looks}
        found = looks.candidates([looks.look(x, side) for side, x in sized.items()])
        if self.v.classes:
            rows = [found["shares"], found["boxes"]]
            self.g.node("Concat", rows, CANDIDATES, axis=1)
            self.g.output(CANDIDATES, [self.v.detections, CLASSES + 4])
        # Cut out of the middle size: bilinear samples of a larger one would skip pixels.
        seen = scenery.normalised(sized[sorted(sized)[len(sized) // 2]])
        side = self.v.scene_size
        small = scenery.resize_to(seen, side, 3, "scene.resized", smooth=True)
        fine, coarse, whole = scenery.classifier(small)
        stuff, main = scenery.stuff(fine, coarse)
        window = scenery.window(main)
        _, _, inner = scenery.classifier(scenery.cut(seen, window), "@main")
        everything = scenery.floats("window.whole", [0, 0, 1, 1])
        return {
            "detection": self.detection(found),
            "region": self.region(stuff),
            "name": scenery.names([whole, inner], [everything, main]),
            "whole": whole,
            "coarse": coarse,
        }

    def detection(self, found: dict[str, str]) -> str:
        """The name of (1, K, DETECTION_FEATURES): shares, score, there, lead, the box."""
        g, looks = self.g, self.looks
        there = looks.above(found["score"], 0.0, "there")
        g.nodes("TopK", [found["shares"], looks.ints("lead.two", [2])], ["lead.best", "lead.kinds"],
                axis=1)  # fmt: skip
        second = looks.slice("lead.best", 1, 2, 1, "lead.second")
        either = g.node("Add", [found["score"], second], "lead.either")
        either = g.node("Max", [either, looks.floats("lead.least", 1e-6)], "lead.safe")
        # How far the likeliest class is ahead of the next: 1/2 level with it, 1 alone.
        lead = g.node("Div", [found["score"], either], "lead")
        rows = g.node("Concat", [found["shares"], found["score"], there, lead], "detection.named",
                      axis=1)  # fmt: skip
        batch = looks.ints("rows.batch", [0])
        rows, boxes, there = (g.node("Unsqueeze", [x, batch], name) for x, name in (
            (rows, "detection.rows"), (found["boxes"], "detection.boxes"),
            (there, "detection.there")))  # fmt: skip
        return g.node("Concat", [rows, looks.waves(boxes, there, "detection.waves")],
                      "detection.features", axis=2)  # fmt: skip

    def region(self, stuff: str) -> str:
        """The name of (1, R, REGION_FEATURES)."""
        scenery = self.scenery
        boxes = scenery.slice(stuff, 3, 7, 2, "region.boxes")
        there = scenery.slice(stuff, 2, 3, 2, "region.there")
        measures = scenery.slice(stuff, 0, 3, 2, "region.measures")
        waves = scenery.waves(boxes, there, "region.waves")
        return self.g.node("Concat", [measures, waves], "region.features", axis=2)

    def tokens(self) -> str:
        """Write everything up to the encoder; returns the name of (tokens, W)."""
        g, v, scenery = self.g, self.v, self.scenery
        found = self.networks()
        grid = scenery.reshape(found["coarse"], [1, COARSE, -1], "grid.flat")
        grid = g.node("Transpose", [grid], "grid.cells", perm=[0, 2, 1])
        whole = self.project("whole", scenery.reshape(found["whole"], [1, 1, -1], "whole"))
        parts = [
            self.project("detection", found["detection"]),
            self.project("region", found["region"]),
            self.project("name", found["name"]),
            scenery.reshape(whole, [1, 2, v.width], "whole.tokens"),
            self.project("grid", grid),
        ]
        x = g.node("Concat", parts, "tokens", axis=1)
        x = scenery.reshape(x, [-1, v.width], "tokens.rows")
        table = self.source.tensor(self.prefix + "embeddings.position_embedding.weight")
        return g.node("Add", [x, g.weight("positions", table)], "vision.0")

    def project(self, kind: str, x: str) -> str:
        name = f"{self.prefix}embeddings.{kind}"
        # Exact in every precision: what is written here is coordinates.
        weight, bias = self.source.tensor(name + ".weight"), self.source.tensor(name + ".bias")
        return self.g.linear(x, weight, bias, "fp32", f"embedded.{kind}")
