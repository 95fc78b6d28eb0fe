"""A small marketplace that speaks Cartona's API and the neutral REST format; see ``python -m tests.simulator -h``."""
