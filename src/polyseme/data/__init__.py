"""From tokens to batches: store, packing, order, loading."""
