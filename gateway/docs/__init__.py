"""The reference of the platform's API: generated documents, and two pages that show them."""
