"""Plans, packs, seals and disposes archives."""
