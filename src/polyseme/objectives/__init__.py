"""What is learned from raw text; the file name is the registry key."""
