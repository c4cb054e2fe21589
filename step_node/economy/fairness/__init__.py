"""Who got how much in an epoch, and how evenly: the report that anybody can compute again from the chain alone."""
