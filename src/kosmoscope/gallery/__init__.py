"""A folder's results as one static page: pictures beside their boxes, phrases linked to boxes.

records      description -> the few numbers and strings that the page needs
thumbnails   picture -> a small file named by its contents
html         records and the page's parts -> index.html
build        all of it, in an order that leaves a working page wherever it is stopped
page/        what runs in the browser: one HTML file, one stylesheet, plain scripts
"""

from kosmoscope.gallery.build import build_gallery

__all__ = ["build_gallery"]
