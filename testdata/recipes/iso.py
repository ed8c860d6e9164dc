"""Images of testdata/iso."""


def build(out):
    """Adds every file."""
