"""All SQL of notify: the ledger, the recipients, the development inbox."""
