"""What is learned from labels; the file name is the registry key."""
