"""The shape of the config."""
