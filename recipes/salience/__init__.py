"""U2-Net-p, the small network that tells what a picture is about: teacher file -> what ships."""
