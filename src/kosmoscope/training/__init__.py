"""Data, training and export of checkpoints: the only room with torch and transformers.

The checkpoint `pocket` is made here, one command a step (docs/pocket.md)::

    features.py    what the two frozen networks say of every picture, kept on disk
    regions.py     a coarse segmentation of stuff on their maps
    fit.py         the trained half: encoder, resampler, decoder; the export
    evaluate.py    figures on pictures held out, through the product's own engine

Beneath them: records (the packed photo sets), teachers (the networks' weights), words, knowledge
(what is known of a picture), targets (the texts of each task), tokenizer, batches, network,
prepare. Nothing is imported here.
"""
