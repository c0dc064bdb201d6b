"""Edge probing, part by part; study/probe.py puts it together."""
