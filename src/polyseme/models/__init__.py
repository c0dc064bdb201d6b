"""One file per representation, readable beside its paper; the file name is the registry key."""
