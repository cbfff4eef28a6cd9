"""MongoDB: the embedded server, connections, collections, blobs, labels, the JobStore."""
