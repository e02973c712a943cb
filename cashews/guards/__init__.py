"""Guards wrap calls: each decides whether, when and how often the function runs."""
