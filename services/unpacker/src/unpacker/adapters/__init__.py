"""How the unpacker speaks to S3."""
