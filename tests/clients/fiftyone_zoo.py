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


handler = functools.partial(Quiet, directory=served)
with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    source = f"http://127.0.0.1:{server.server_port}/kosmoscope.zip"
    foz.register_zoo_model_source(source)
    names = foz.list_zoo_models(source=source)
    server.shutdown()

model = foz.load_zoo_model("kosmoscope-pocket", classes=given["classes"], threads=1)
assert isinstance(model, fom.Model)
assert foz.is_zoo_model_downloaded("kosmoscope-pocket")
form = foz.get_zoo_model("kosmoscope-pocket").resolve_input(foe.ExecutionContext())
samples = [fo.Sample(filepath=path) for path in given["pictures"]]
images = [foui.read(sample.filepath) for sample in samples]
for sample, labels in zip(samples, model.predict_all(images), strict=True):
    sample.add_labels(labels, label_field="kosmos", confidence_thresh=given["thresh"])
one = model.predict({"filepath": given["pictures"][0]})
masked = foz.load_zoo_model(
    "kosmoscope-pocket", classes=given["classes"][:1], masks=True, threads=1
)
(part,) = masked.predict(images[0]).detections
whole = part.to_segmentation(frame_size=images[0].shape[1::-1])
refused = ""
try:
    foz.load_zoo_model("kosmoscope-pocket")
except ValueError as e:
    refused = f"{type(e).__name__}: {e}"
print(json.dumps({
    "names": names,
    "found": [[(d.label, d.bounding_box, d.confidence) for d in s.kosmos.detections]
              for s in samples],
    "one": [d.label for d in one.detections],
    "form": sorted(form.type.properties),
    "pixels": int((whole.mask > 0).sum()),
    "refused": refused,
}))  # fmt: skip
