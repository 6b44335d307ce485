"""The glaciate command."""
