"""What the marketing lessons share: their tables, checked, each with a twin of known truth."""
