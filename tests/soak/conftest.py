from ..bench.conftest import figure, inside, middle, show  # noqa: F401
