"""How the restore intake speaks to AWS."""
