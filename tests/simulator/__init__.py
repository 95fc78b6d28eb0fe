"""A small marketplace that speaks Cartona's API and the neutral REST format, see ``app.py``."""
