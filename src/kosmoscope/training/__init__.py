"""Data, training and export of checkpoints: the only room with torch and transformers.

The stand-in checkpoint `pocket` is made here, in the hub's own format of Kosmos-2::

    tokenizer.py   an XLM-R-style Unigram tokenizer with Kosmos-2's tags and location tokens
    shapes.py      rendered pictures, with the text of every task that they answer
    train.py       the model, resumable training, the export, the evaluation

Nothing is imported here, so that the first two can be used without torch.
"""
