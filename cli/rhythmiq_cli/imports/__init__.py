"""What imports of every kind share: how far they have come, what was left out, and a bar that shows it."""
