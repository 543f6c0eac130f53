"""What other programs load into their own processes: a folder or file each, and what they share.

finding     a list of labels, and where in a picture each of them is
cvat        CVAT's auto-annotation function (extra ``cvat``)
fiftyone    FiftyOne's zoo model (extra ``fiftyone``)
"""
