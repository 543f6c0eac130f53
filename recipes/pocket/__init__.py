"""Data, training and export of the checkpoint `pocket`, one command a step (docs/pocket.md).

    features    what the two frozen networks say of every picture, kept on disk
    regions     a coarse segmentation of stuff on their maps
    fit         the trained half: encoder, resampler, decoder; the export

From the repository's root: ``python -m recipes.pocket.fit --help``. The figures are taken by the
product itself, with ``kosmoscope evaluate``.

Beneath the steps, lower ones first: records (the packed photo sets), teachers (the networks'
weights), tokenizer, knowledge (what is known of a picture), targets (the texts of each task),
network, batches, prepare. Needs PyTorch and transformers, the dependency group `training`.
Nothing is imported here.
"""
