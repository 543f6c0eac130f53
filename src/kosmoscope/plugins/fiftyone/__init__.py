"""FiftyOne's zoo model: this folder is a remote source of models.

    import fiftyone.zoo as foz

    foz.register_zoo_model_source("https://github.com/OWNER/kosmoscope")
    model = foz.load_zoo_model("kosmoscope-pocket", classes=["dog", "cat"])
    dataset.apply_model(model, label_field="kosmos")

FiftyOne copies the folder and runs the copy under the manifest's name, which therefore is not the
package's; the work is done by the installed package. `load_model("pocket", classes=[...])` does
without a zoo.
"""

from kosmoscope.plugins.fiftyone.zoo import download_model, load_model, resolve_input

__all__ = ["download_model", "load_model", "resolve_input"]
