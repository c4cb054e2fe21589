"""What stands between the sockets and the application: connections, TLS, places, quotas, costs and who pays them."""
