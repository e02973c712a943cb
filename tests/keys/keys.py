"""The function that makes keys, as the tests of keys ask for it."""

from cashews.keys.compile import key_source


def compile_key(function, template=None, **options):
    """Return the function that makes the keys of a function's calls; the options are those of `key_source`."""
    return key_source(function, template, **options).key()
