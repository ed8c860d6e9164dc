"""Images of testdata/vhdx."""


def build(out):
    """Adds every file."""
