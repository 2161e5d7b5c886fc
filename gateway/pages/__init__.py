"""The pages the mails link to: static, without inline code, and changing nothing by being read."""
