"""The STEP daemon: the only floor that wires the others together and that knows configuration."""

__version__ = "0.1.0"
