"""How good a model is on labelled pictures: boxes, grounding, scenes, captions, scores, masks.

    data        packed sets of pictures and labels, read strictly
    words       names of classes and scenes, their plurals and synonyms
    phrases     from a model's words to a set's classes
    matching    boxes to labelled boxes
    judging     one picture: what was said held against what is known
    captions    BLEU and CIDEr-D
    statistics  shares with their intervals, calibration
    masks       overlap of masks, boundaries, maps of classes
    figures     from the facts of all pictures to the figures
    run         a model over sets of pictures

The format of the data, and what each figure counts, is in docs/evaluation.md. Nothing is imported
here: training takes data and words from this room, and needs no engine for that.
"""
