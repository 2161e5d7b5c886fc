"""What operators do by hand: `python -m services.token clients --help`, `keys --help`."""
