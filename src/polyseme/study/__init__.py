"""Looking inside trained models: senses, probes, attention, minimal pairs, similarity, comparisons, with intervals."""
