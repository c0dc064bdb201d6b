"""Named runs: one .toml each."""
