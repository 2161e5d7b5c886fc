"""What notify does: take orders for mails, deliver them, show and resend them."""
