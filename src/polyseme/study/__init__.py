"""Looking inside trained models (a later version)."""
