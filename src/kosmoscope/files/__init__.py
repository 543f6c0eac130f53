"""The bottom room: files and folders that are there whole or not at all, locks, JSON, plain text.

text      one line for a message, text that a file format can hold
addresses paths as addresses for pages and drawings
names     names for new files that no file system finds too long
writing   one file, in one piece
folders   a folder of files, in one piece
locks     one writer per folder
checked   JSON to checked values
places    one file under all its names
marker    folders and pictures that are our own

Everything that kosmoscope writes goes through here; nothing here knows what it is.
"""
