"""Data, training and export of the checkpoint `pocket`, one command a step (docs/pocket.md).

    mains       what pictures are about, as the salient-object network sees it
    features    what the two frozen networks say of every picture, kept on disk
    regions     a coarse segmentation of stuff, and of the main thing, on their maps
    names       the main thing, cut out and looked at; what it may be called
    fit         the trained half: encoder, resampler, decoder; the export
    calibrate   how often its boxes are right

From the repository's root: ``python -m recipes.pocket.fit --help``. The figures are taken by the
product itself, with ``kosmoscope evaluate``.

Beneath the steps, lower ones first: records (the packed photo sets), teachers (the networks'
weights), vision (the networks, in PyTorch), naming (classes under people's words), tokenizer,
knowledge (what is known of a picture), targets (the texts of each task), network, batches,
prepare. Needs PyTorch and transformers, the dependency group `training`. Nothing is imported here.
"""
