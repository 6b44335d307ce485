"""What the intake decides. No AWS here."""
