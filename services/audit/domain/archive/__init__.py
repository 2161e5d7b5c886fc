"""The archive's rules: what an object holds, what a manifest says, what opens (D17, D18)."""
