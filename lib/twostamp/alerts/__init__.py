"""Alerts: one Avro packet, archives of them, and a simulated survey that writes such an archive."""
