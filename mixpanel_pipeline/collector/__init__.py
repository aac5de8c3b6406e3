"""The HTTP service that takes browsers' events (docs/collector.md)."""
