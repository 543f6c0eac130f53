"""What becomes of a segmentation: files for other programs, pictures, a page.

labels_nifti  the label map on its volume's grid
dicom_seg     the same as a DICOM Segmentation; dicom_source: what it takes of the slices
contours      outlines slice by slice
rtstruct      the same as a DICOM RT Structure Set; keyhole: parts with holes as one ring
mesh_files    surfaces: STL, PLY, OBJ
overlays      slices with labels on them
page, page/   all of it to look at, in one file
saving        a folder of them
"""
