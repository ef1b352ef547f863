"""Second alert."""
