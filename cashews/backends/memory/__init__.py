"""The memory store: `mem://`.

The package imports no module of its own: `encoded` needs the codecs, which load when a store encodes its values.
"""
