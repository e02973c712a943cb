"""Keys of calls: templates, signatures, text, patterns, tags. Pure."""
