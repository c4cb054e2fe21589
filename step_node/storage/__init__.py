"""Storage: one interface (`interface`), the engines behind it, and the place that opens them (`open`)."""
