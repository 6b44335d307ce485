"""What every Glaciate service shares: contracts, tables, names, errors, telemetry and the worker loop."""
