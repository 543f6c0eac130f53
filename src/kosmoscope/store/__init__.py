"""The store of models: what every kind of model has in common, written once; it knows no kind.

kind       the record that a kind of model is: names, files, version, write, open
folders    where things lie: our cache, the hub's cache, what ships inside the package
source     the files of a checkpoint in the hub's format
manifest   what a converted folder says about itself
convert    from the one to the other, once, and opening it
installed  names to folders, and what is on this machine
hub        downloads
"""
