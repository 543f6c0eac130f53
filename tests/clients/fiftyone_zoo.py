"""Registers the folder as a source of models, as FiftyOne's users do, and applies a model of it.

Without FiftyOne's database: that is a download of MongoDB, which this machine may not have. Samples
are made in memory, and what is found is put into them the way `Dataset.apply_model` does.
"""

import functools
import http.server
import json
import sys
import tempfile
import threading
import zipfile
from pathlib import Path

import fiftyone as fo
import fiftyone.core.models as fom
import fiftyone.core.utils as fou
import fiftyone.operators.executor as foe
import fiftyone.utils.image as foui
import fiftyone.zoo as foz

given = json.load(sys.stdin)
folder = Path(given["folder"])
served = Path(tempfile.mkdtemp())
fo.config.model_zoo_dir = str(served / "zoo")
with zipfile.ZipFile(served / "kosmoscope.zip", "w") as archive:
    for file in sorted(folder.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            archive.write(file, Path("repo", "src", file.relative_to(folder.parent)))


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Dataset:
    """The samples of a dataset, to which a model is applied as FiftyOne does."""

    def __init__(self, paths):
        self.samples = [fo.Sample(filepath=path) for path in paths]
        for sample in self.samples:
            sample.compute_metadata()

    def apply_model(self, model, label_field, confidence_thresh=None):
        assert isinstance(model, fom.Model)
        told = {} if confidence_thresh is None else {"confidence_thresh": confidence_thresh}
        with fou.SetAttributes(model.config, **told), model:
            for sample in self.samples:
                labels = model.predict(foui.read(sample.filepath))
                sample.add_labels(labels, label_field=label_field)


dataset = Dataset(given["pictures"])
handler = functools.partial(Quiet, directory=served)
with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    source = f"http://127.0.0.1:{server.server_port}/kosmoscope.zip"
    by_zoo, without = given["documented"]
    names = {"SOURCE": source, "dataset": dataset}
    exec(by_zoo, names)
    models = foz.list_zoo_models(source=source)
    server.shutdown()

assert foz.is_zoo_model_downloaded("kosmoscope-pocket")
form = foz.get_zoo_model("kosmoscope-pocket").resolve_input(foe.ExecutionContext())
parts = []
for sample in dataset.samples:
    size = (sample.metadata.width, sample.metadata.height)
    for found in sample.kosmos.detections:
        drawn = found.to_segmentation(frame_size=size)
        parts.append((found.label, int((drawn.mask > 0).sum())))
exec(without, names)
sure = Dataset(given["pictures"])
sure.apply_model(names["model"], "kosmos", confidence_thresh=given["thresh"])
boxes = names["model"].predict_all([{"filepath": path} for path in given["pictures"]])
refused = ""
try:
    foz.load_zoo_model("kosmoscope-pocket")
except ValueError as e:
    refused = f"{type(e).__name__}: {e}"
print(json.dumps({
    "models": models, "form": sorted(form.type.properties), "parts": parts, "refused": refused,
    "sure": [[d.label for d in s.kosmos.detections] for s in sure.samples],
    "boxes": [[(d.label, d.bounding_box, d.confidence) for d in found.detections]
              for found in boxes],
}))  # fmt: skip
