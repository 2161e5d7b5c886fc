"""What looks like an attack: evidence, windows, rules, campaigns, findings and alerts."""
