"""Files to documents, sentences, words and tokens."""
