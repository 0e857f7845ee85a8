"""Programs on public names only, as a user would write them."""
