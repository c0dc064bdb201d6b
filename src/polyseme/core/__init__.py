"""The nouns everybody uses; imports nothing of ours but errors."""
