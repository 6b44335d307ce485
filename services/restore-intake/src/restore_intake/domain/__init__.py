"""What the restore intake decides, without asking anybody."""
