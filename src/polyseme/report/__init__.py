"""Tables, charts and pages made from what runs have written."""
