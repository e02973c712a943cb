"""The face of a cache: commands, decorators, settings."""
