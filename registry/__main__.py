"""Run the command as ``python -m registry``."""

from registry.cli import main

main(prog_name="moorage")
