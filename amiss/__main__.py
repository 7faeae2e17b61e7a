"""`python -m amiss` is the command line."""

from amiss.cli import main

main()
