"""Images of testdata/ova."""


def build(out):
    """Adds every file."""
