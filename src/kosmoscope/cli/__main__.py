"""`python -m kosmoscope.cli` is `kosmoscope`."""

from kosmoscope.cli import main

main()
