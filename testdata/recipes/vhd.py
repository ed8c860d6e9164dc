"""Images of testdata/vhd."""


def build(out):
    """Adds every file."""
