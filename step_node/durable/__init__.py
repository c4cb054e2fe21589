"""Files that survive a crash at any moment: replaced whole, appended record by record, or locked."""
