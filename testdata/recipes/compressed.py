"""Images of testdata/compressed."""


def build(out):
    """Adds every file."""
