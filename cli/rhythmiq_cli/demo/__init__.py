"""The demo: a catalogue made by rule, and a listener to recommend it to."""
